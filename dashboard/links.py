"""Pages as link and switch targets. Imports no page: navigation registers the functions that draw them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from experiments.bench.spec import Experiment, fields
from experiments.registry import registered

RUN = "run"  # URL parameter with the id of a run

ICONS = {
    "Compiler": ":material/memory:",
    "Compression": ":material/compress:",
    "Deployment": ":material/dns:",
    "Machine": ":material/speed:",
}
_drawn_by: dict[str, Callable[..., None]] = {}


def register(experiment: Callable[[str], None], compare: Callable[[], None]) -> None:
    """Sets the functions that draw the page of an experiment, given its name, and the Compare page."""
    _drawn_by.update(experiment=experiment, compare=compare)


def experiment_page(name: str) -> Any:
    """The page of one experiment; the same name always gives the same page."""
    one = registered()[name]
    return st.Page(partial(_draw, "experiment", name), title=one.title, icon=ICONS[one.section], url_path=name)


def _draw(kind: str, *arguments: str) -> None:
    _drawn_by[kind](*arguments)


def preset_query(experiment: Experiment[Any], preset: str) -> dict[str, str]:
    """The query parameters that fill the form with a preset: the fields that differ from their defaults."""
    chosen, usual = experiment.preset(preset), experiment.spec()
    texts = {name: (chosen.text(name), usual.text(name)) for name in fields(experiment.spec)}
    return {name: text for name, (text, default) in texts.items() if text != default}


def compare_page() -> Any:
    """The page that compares runs."""
    return st.Page(partial(_draw, "compare"), title="Compare", icon=":material/compare_arrows:", url_path="compare")


def compare_link(label: str, run_ids: Sequence[str]) -> None:
    """A link to the comparison of these runs."""
    st.page_link(
        compare_page(), label=label, icon=":material/compare_arrows:", query_params={"runs": ",".join(run_ids)}
    )


def open_run(experiment: str, run_id: str) -> None:
    """Opens a run on the page of its experiment."""
    st.switch_page(experiment_page(experiment), query_params={RUN: run_id})
