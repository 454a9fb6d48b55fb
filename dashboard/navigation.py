"""The pages of the app: the fixed ones, and one for each registered experiment from the same template."""

from typing import Any

import streamlit as st

from dashboard.links import experiment_page
from dashboard.pages import overview
from experiments.registry import registered


def sections() -> dict[str, list[Any]]:
    """All pages by section, for st.navigation."""
    first = st.Page(overview.show, title="Overview", icon=":material/home:", url_path="overview", default=True)
    found: dict[str, list[Any]] = {"": [first]}
    for one in registered().values():
        found.setdefault(one.section, []).append(experiment_page(one.name))
    return found
