"""Submitting a run for the current user."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard import auth, services
from dashboard.safe_render import escape_markdown
from experiments.bench.errors import BadInput
from experiments.bench.spec import Experiment, Spec
from experiments.runs import jobs
from experiments.runs.store import StoreError


def submit(
    experiment: Experiment[Any],
    spec: Spec,
    open_run: Callable[[str], None],
    time_limit_s: float = jobs.DEFAULT_TIME_LIMIT_S,
    host: str = "",
) -> None:
    """Queues a run of the current user and opens it; shows each reason for a refusal in one line."""
    try:
        with st.spinner("Checking device and memory…"):
            run_id = _submit(experiment, spec, time_limit_s, host)
    except BadInput as refused:
        for problem in refused.problems:
            st.error(escape_markdown(problem), icon=":material/error:")
    except StoreError as error:
        st.error(escape_markdown(str(error)), icon=":material/database_off:")
    else:
        open_run(run_id)


def _submit(experiment: Experiment[Any], spec: Spec, time_limit_s: float, host: str) -> str:
    user = auth.current_user()
    if user.refusal_to_run:
        raise BadInput(user.refusal_to_run)
    place = services.place(spec.device, host)
    if place is not None:
        spec = spec.model_copy(update={"device": place.device})
    return jobs.submit(
        experiment.name, spec, host=place.host if place else None, owner=user.name, time_limit_s=time_limit_s
    )
