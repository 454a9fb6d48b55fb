"""The challenge on an experiment's page: its goal and the run that solved it."""

from typing import Any

import streamlit as st

from dashboard import links, services
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown, try_render
from experiments.bench.challenge import Achievement
from experiments.bench.spec import Experiment
from experiments.registry import find
from experiments.runs import challenges
from experiments.runs.challenges import Solved


@st.cache_data(max_entries=1000, show_spinner=False)
def _judged(database: str, name: str, run_id: str) -> Achievement | None:
    """The rows of a finished run that meet the challenge, if any; cached because finished runs do not change."""
    return challenges.met_by(services.database(), find(name), run_id)


def solved(experiment: Experiment[Any]) -> Solved | None:
    """The latest non-example run that meets the experiment's challenge."""
    db = services.database()

    def judge(run_id: str) -> Achievement | None:
        return _judged(str(db.url), experiment.name, run_id)

    return try_render("The challenge", lambda: challenges.solved(db, experiment, judge), None)


def show(experiment: Experiment[Any]) -> None:
    """Draws the challenge of an experiment that has one; the explanation appears once a run meets it."""
    challenge = experiment.challenge
    if challenge is None:
        return
    by = solved(experiment)
    with st.container(border=True):
        badge = ":green-badge[:material/check: solved]" if by else ":gray-badge[open]"
        st.markdown(f":material/emoji_events: **Challenge** {badge} {escape_markdown(challenge.goal)}")
        if by is None:
            st.caption(
                f"Start from the preset `{challenge.start}`. The goal is checked automatically when a run has finished."
            )
            return
        st.page_link(
            links.experiment_page(experiment.name), label=escape_markdown(by.met.result), query_params={RUN: by.run_id}
        )
        with st.expander(escape_markdown(challenge.question)):
            st.markdown(escape_markdown(by.met.explanation))
