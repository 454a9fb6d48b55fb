"""The pages of experiments as things to link to and to switch to."""

from functools import partial
from typing import Any

import streamlit as st

from dashboard.controls import RUN
from dashboard.pages import experiment
from experiments.registry import registered

ICONS = {
    "Compiler": ":material/memory:",
    "Compression": ":material/compress:",
    "Deployment": ":material/dns:",
    "Machine": ":material/speed:",
}


def experiment_page(name: str) -> Any:
    """The page of one experiment; the same name always gives the same page."""
    one = registered()[name]
    return st.Page(partial(experiment.show, name), title=one.title, icon=ICONS[one.section], url_path=name)


def open_run(experiment: str, run_id: str) -> None:
    """Goes to the page of an experiment and shows one run there."""
    st.switch_page(experiment_page(experiment), query_params={RUN: run_id})
