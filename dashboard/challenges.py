"""The challenge on an experiment's page: its goal, and the run that met it."""

from typing import Any

import streamlit as st

from dashboard import links, services
from dashboard.attempt import attempt
from dashboard.links import RUN
from dashboard.text import plain
from experiments.bench.challenge import Achievement
from experiments.bench.spec import Experiment
from experiments.registry import find
from experiments.runs import challenges
from experiments.runs.challenges import Solved


@st.cache_data(max_entries=1000, show_spinner=False)
def _judged(database: str, name: str, run_id: str) -> Achievement | None:
    """What of an ended run meets the challenge; a run that has ended does not change."""
    return challenges.met_by(services.database(), find(name), run_id)


def solved(experiment: Experiment[Any]) -> Solved | None:
    """The latest run of one's own that meets the experiment's challenge."""
    db = services.database()

    def judge(run_id: str) -> Achievement | None:
        return _judged(str(db.url), experiment.name, run_id)

    return attempt("The challenge", lambda: challenges.solved(db, experiment, judge), None)


def show(experiment: Experiment[Any]) -> None:
    """Draws the challenge of an experiment that has one; the reason is there once a run meets it."""
    challenge = experiment.challenge
    if challenge is None:
        return
    by = solved(experiment)
    with st.container(border=True):
        badge = ":green-badge[:material/check: solved]" if by else ":gray-badge[open]"
        st.markdown(f":material/emoji_events: **Challenge** {badge} {plain(challenge.goal)}")
        if by is None:
            st.caption(f"Start from the preset `{challenge.start}`. A run that meets it is recognised by its rows.")
            return
        st.page_link(links.experiment_page(experiment.name), label=plain(by.met.result), query_params={RUN: by.run_id})
        with st.expander(plain(challenge.question)):
            st.markdown(plain(by.met.explanation))
