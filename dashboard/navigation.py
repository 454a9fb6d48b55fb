"""The pages of the app: the fixed ones, and one per registered experiment from a shared template."""

from typing import Any

import streamlit as st

from dashboard import links
from dashboard.pages import compare, devices, experiment, method, overview, runs
from experiments.registry import registered

links.register(experiment=experiment.show, compare=compare.show)


def sections() -> dict[str, list[Any]]:
    """All pages by section, for st.navigation."""
    found: dict[str, list[Any]] = {
        "": [
            st.Page(overview.show, title="Overview", icon=":material/home:", url_path="overview", default=True),
            st.Page(runs.show, title="Runs", icon=":material/list:", url_path="runs"),
            links.compare_page(),
            st.Page(devices.show, title="Devices", icon=":material/developer_board:", url_path="devices"),
            st.Page(method.show, title="Method", icon=":material/straighten:", url_path="method"),
        ]
    }
    for one in registered().values():
        found.setdefault(one.section, []).append(links.experiment_page(one.name))
    return found
