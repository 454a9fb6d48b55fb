"""The pages of the app: the fixed ones, and one for each registered experiment from the same template."""

from typing import Any

import streamlit as st

from dashboard.links import compare_page, experiment_page
from dashboard.pages import devices, method, overview, runs
from experiments.registry import registered


def sections() -> dict[str, list[Any]]:
    """All pages by section, for st.navigation."""
    found: dict[str, list[Any]] = {
        "": [
            st.Page(overview.show, title="Overview", icon=":material/home:", url_path="overview", default=True),
            st.Page(runs.show, title="Runs", icon=":material/list:", url_path="runs"),
            compare_page(),
            st.Page(devices.show, title="Devices", icon=":material/developer_board:", url_path="devices"),
            st.Page(method.show, title="Method", icon=":material/straighten:", url_path="method"),
        ]
    }
    for one in registered().values():
        found.setdefault(one.section, []).append(experiment_page(one.name))
    return found
