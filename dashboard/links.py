"""Pages as things to link to and to switch to. Each is imported when it is opened, so that any part can link to it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from experiments.bench.spec import Experiment, fields
from experiments.registry import registered

RUN = "run"  # the URL's parameter that names a run

ICONS = {
    "Compiler": ":material/memory:",
    "Compression": ":material/compress:",
    "Deployment": ":material/dns:",
    "Machine": ":material/speed:",
}


def experiment_page(name: str) -> Any:
    """The page of one experiment; the same name always gives the same page."""
    one = registered()[name]
    return st.Page(partial(_show_experiment, name), title=one.title, icon=ICONS[one.section], url_path=name)


def _show_experiment(name: str) -> None:
    from dashboard.pages import experiment

    experiment.show(name)


def preset_query(experiment: Experiment[Any], preset: str) -> dict[str, str]:
    """The parameters of a link that fills the form with a preset: what differs from the defaults."""
    chosen, usual = experiment.preset(preset), experiment.spec()
    texts = {name: (chosen.text(name), usual.text(name)) for name in fields(experiment.spec)}
    return {name: text for name, (text, default) in texts.items() if text != default}


def compare_page() -> Any:
    """The page that puts runs side by side."""
    return st.Page(_show_compare, title="Compare", icon=":material/compare_arrows:", url_path="compare")


def _show_compare() -> None:
    from dashboard.pages import compare

    compare.show()


def compare_link(label: str, run_ids: Sequence[str]) -> None:
    """A link to the comparison of these runs."""
    st.page_link(
        compare_page(), label=label, icon=":material/compare_arrows:", query_params={"runs": ",".join(run_ids)}
    )


def open_run(experiment: str, run_id: str) -> None:
    """Goes to the page of an experiment and shows one run there."""
    st.switch_page(experiment_page(experiment), query_params={RUN: run_id})
