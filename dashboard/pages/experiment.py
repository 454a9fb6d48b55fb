"""The page of one experiment: question, answer, form, live progress, results. The same for all of them."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import challenges, controls, people, progress, results, services
from dashboard.links import RUN
from dashboard.text import plain
from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, Spec, parse
from experiments.registry import find
from experiments.runs import examples, jobs, store
from experiments.runs.store import StoreError


def show(name: str) -> None:
    """Draws the page of the experiment called `name`; `?run=<id>` shows that run."""
    experiment = find(name)
    st.title(experiment.title)
    st.markdown(f"**{experiment.question}**")
    if experiment.compares:
        st.caption(f"Compares {experiment.compares}.")
    run = _shown_run(experiment)
    challenges.show(experiment)
    with st.expander("Parameters", icon=":material/tune:", expanded=run is None):
        _form(experiment, _spec_of(experiment, run), run["host"] if run else "")
    if run is None:
        st.info(
            "No run is shown yet. Choose a preset or fill in the form, then press Run; `quick` takes seconds.",
            icon=":material/play_circle:",
        )
        _examples(experiment)
        results.method(experiment, None)
    else:
        progress.follow(experiment, run["id"])


def _examples(experiment: Experiment[Any]) -> None:
    """The carried runs of this experiment, each imported when it is opened."""
    with st.container(horizontal=True):
        for one in examples.bundled(experiment.name):
            if st.button(plain(one.title), icon=":material/auto_stories:", key=f"example-{one.run_id}"):
                if people.known().refusal_to_run and one not in examples.loaded(services.database()):
                    st.error(plain(people.known().refusal_to_run), icon=":material/lock:")
                    return
                examples.load(services.database(), [one])
                _stay(one.run_id)


def _shown_run(experiment: Experiment[Any]) -> Any:
    """The run that the URL names; None, with one line said, where there is no such run of this experiment."""
    if not (run_id := st.query_params.get(RUN)):
        return None
    run = store.get_run(services.database(), run_id)
    if run is None or run["experiment"] != experiment.name:
        said = f"run: there is no run {run_id[:40]!r} of this experiment in this database"
        st.error(plain(said), icon=":material/link_off:")
        return None
    return run


def _spec_of(experiment: Experiment[Any], run: Any) -> Spec | None:
    """The spec of the shown run; None where an older version's run does not fit today's limits."""
    if run is None:
        return None
    try:
        return parse(experiment.spec, run["spec"])
    except BadInput:
        return None


def _form(experiment: Experiment[Any], shown: Spec | None, host: str) -> None:
    filled = controls.form(experiment, shown, host)
    said = st.container()  # of its own, so that Run keeps its place when a problem comes or goes
    for problem in filled.problems:
        said.error(plain(problem), icon=":material/error:")
    if filled.spec is not None and (planned := experiment.plan(filled.spec)):
        said.caption(f":material/schedule: {plain(planned)}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = st.number_input(
            "Time limit [s]",
            int(jobs.MIN_TIME_LIMIT_S),
            int(jobs.MAX_TIME_LIMIT_S),
            int(jobs.DEFAULT_TIME_LIMIT_S),
            key=f"{experiment.name}:time-limit",
            help="The run is stopped then; rows that it has are kept.",
            width=200,
        )
        pressed = st.button(
            "Run", type="primary", icon=":material/play_arrow:", disabled=filled.spec is None, key="run"
        )
    if pressed and filled.spec is not None:
        submit(experiment, filled.spec, _stay, float(limit), filled.host)


def submit(
    experiment: Experiment[Any],
    spec: Spec,
    open_run: Callable[[str], None],
    time_limit_s: float = jobs.DEFAULT_TIME_LIMIT_S,
    host: str = "",
) -> None:
    """Queues a run of the person at this page and opens it; says in one line each why it is refused."""
    try:
        with st.spinner("Checking device and memory…"):
            run_id = _submit(experiment, spec, time_limit_s, host)
    except BadInput as refused:
        for problem in refused.problems:
            st.error(plain(problem), icon=":material/error:")
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/database_off:")
    else:
        open_run(run_id)


def _submit(experiment: Experiment[Any], spec: Spec, time_limit_s: float, host: str) -> str:
    person = people.known()
    if person.refusal_to_run:
        raise BadInput(person.refusal_to_run)
    place = services.place(spec.device, host)
    if place is not None:
        spec = spec.model_copy(update={"device": place.device})
    return jobs.submit(
        experiment.name, spec, host=place.host if place else None, owner=person.name, time_limit_s=time_limit_s
    )


def _stay(run_id: str) -> None:
    """Shows a run on the page where it was started."""
    st.query_params[RUN] = run_id
    st.rerun()
