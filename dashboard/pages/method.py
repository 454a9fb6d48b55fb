"""The Method page: how the numbers are measured, in words, and sections of experiments."""

from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.figures import views
from dashboard.safe_render import try_render
from experiments.bench.columns import COMMON

TEXT = Path(__file__).with_name("method.md")


def show() -> None:
    """Draws the page."""
    st.title("Method")
    st.markdown("**How are these numbers measured, and what does `inconclusive` mean?**")
    st.markdown(TEXT.read_text(encoding="utf-8"))
    for name, view in views().items():
        try_render(f"The section of {name}", view.method_section, None)
    st.subheader("Columns that all experiments share")
    columns = [{"column": one.name, "unit": one.unit, "meaning": one.description} for one in COMMON.values()]
    st.dataframe(pd.DataFrame(columns), hide_index=True, alt="The common columns with unit and meaning")
