"""The page of an experiment: question, form, live progress, results. One template for all experiments."""

from typing import Any

import streamlit as st

from dashboard import auth, challenges, controls, progress, results, services
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown
from dashboard.submission import submit
from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, Spec, parse
from experiments.registry import find
from experiments.runs import examples, jobs, store


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
            "No run is shown. Select a preset or fill in the form, then press Run; the preset `quick` takes seconds.",
            icon=":material/play_circle:",
        )
        _examples(experiment)
        results.method(experiment, None)
    else:
        progress.follow(experiment, run["id"])


def _examples(experiment: Experiment[Any]) -> None:
    """Buttons for the example runs of this experiment; each is imported when opened."""
    with st.container(horizontal=True):
        for one in examples.bundled(experiment.name):
            if st.button(escape_markdown(one.title), icon=":material/auto_stories:", key=f"example-{one.run_id}"):
                if auth.current_user().refusal_to_run and one not in examples.loaded(services.database()):
                    st.error(escape_markdown(auth.current_user().refusal_to_run), icon=":material/lock:")
                    return
                examples.load(services.database(), [one])
                _stay(one.run_id)


def _shown_run(experiment: Experiment[Any]) -> Any:
    """The run in the URL; None, with an error message, if this experiment has no such run."""
    if not (run_id := st.query_params.get(RUN)):
        return None
    run = store.get_run(services.database(), run_id)
    if run is None or run["experiment"] != experiment.name:
        text = f"run: this database has no run {run_id[:40]!r} of this experiment"
        st.error(escape_markdown(text), icon=":material/link_off:")
        return None
    return run


def _spec_of(experiment: Experiment[Any], run: Any) -> Spec | None:
    """The spec of the run; None if it does not satisfy the current limits."""
    if run is None:
        return None
    try:
        return parse(experiment.spec, run["spec"])
    except BadInput:
        return None


def _form(experiment: Experiment[Any], shown: Spec | None, host: str) -> None:
    filled = controls.form(experiment, shown, host)
    messages = st.container()  # so that Run stays in place when a message appears
    for problem in filled.problems:
        messages.error(escape_markdown(problem), icon=":material/error:")
    if filled.spec is not None and (planned := experiment.plan(filled.spec)):
        messages.caption(f":material/schedule: {escape_markdown(planned)}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = st.number_input(
            "Time limit [s]",
            int(jobs.MIN_TIME_LIMIT_S),
            int(jobs.MAX_TIME_LIMIT_S),
            int(jobs.DEFAULT_TIME_LIMIT_S),
            key=f"{experiment.name}:time-limit",
            on_change=controls.note_change,
            args=(experiment,),
            help="The run is stopped after this time; its rows are kept.",
            width=200,
        )
        pressed = st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            disabled=filled.spec is None,
            key="run",
            on_click=controls.note_change,
            args=(experiment,),
        )
    if pressed and filled.spec is not None:
        submit(experiment, filled.spec, _stay, float(limit), filled.host)


def _stay(run_id: str) -> None:
    """Opens a run on the current page."""
    st.query_params[RUN] = run_id
    st.rerun()
