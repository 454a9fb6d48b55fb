"""The ceilings of a device on the dashboard: the figures, and the section of the Devices page that measures them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import links, services
from dashboard.figures import Details, Panel
from dashboard.figures.common import points
from dashboard.links import RUN
from dashboard.safe_render import escape_markdown
from dashboard.submission import submit
from dashboard.theme import layout, log_axis
from experiments.bench.machine.device import Device
from experiments.bench.machine.environment import key
from experiments.registry import find
from experiments.runs import frames, store
from experiments.runs.clock import format_time

CEILINGS = "ceilings"


def panels(rows: pd.DataFrame, details: Details) -> list[Panel]:
    """Copy bandwidth by bytes moved, and matmul throughput by matrix size."""
    drawn = []
    for what, axis, rate, title in (
        ("copy", "moved_bytes", "gb_s", ("Bytes moved [bytes]", "Copy bandwidth [GB/s]")),
        ("matmul", "n", "gflops", ("Matrix size n [1]", "Matmul throughput [GFLOP/s]")),
    ):
        chosen = rows[(rows["what"] == what) & rows[rate].notna()].copy()
        if chosen.empty:
            continue
        # The interval of a rate is the inverse of the latency's.
        chosen["low"] = chosen[rate] * chosen["latency_ms"] / chosen["latency_hi_ms"]
        chosen["high"] = chosen[rate] * chosen["latency_ms"] / chosen["latency_lo_ms"]
        figure = go.Figure()
        for variant, of_variant in chosen.groupby("variant"):
            points(figure, of_variant, axis, rate, "low", "high", str(variant), title[1].partition("[")[2].rstrip("]"))
        layout(figure, *title)
        log_axis(figure, "x", chosen[axis], chosen[axis])
        figure.update_yaxes(rangemode="tozero")
        caption = "numpy runs on one thread, like tinygrad's CPU device. Higher is faster; 95% intervals."
        drawn.append(Panel(title[1].partition(" [")[0], figure, caption))
    return drawn


def device_section(device: str, host: str, facts: Mapping[str, Any] | None) -> None:
    """The latest ceilings measured on this device, with their date, and a button to measure them."""
    measured = facts is not None and _latest(device, facts)
    label = "Measure the ceilings again" if measured else "Measure the ceilings"
    if st.button(label, icon=":material/speed:", key=f"measure-{device}{host}"):
        experiment = find(CEILINGS)
        preset = experiment.preset("standard" if Device.parse(device).is_cpu else "gpu")
        spec = preset.model_copy(update={"device": device})
        submit(experiment, spec, partial(links.open_run, CEILINGS), host=host)


def _latest(device: str, facts: Mapping[str, Any]) -> bool:
    """Draws the latest ceilings of this device on this machine; returns whether there are any."""
    experiment, db = find(CEILINGS), services.database()
    found = store.list_runs(db, limit=1, experiment=CEILINGS, fingerprint=key(dict(facts)), status="done")
    if not found:
        st.caption("Ceilings not measured yet: until then each run measures a few for itself.")
        return False
    rows = frames.rows_frame(db, found[0], experiment)
    st.markdown(escape_markdown(experiment.answer(rows)))
    measured = f"Measured {format_time(found[0]['created'])}"
    st.page_link(links.experiment_page(CEILINGS), label=measured, query_params={RUN: found[0]["id"]})
    st.dataframe(_table(rows), hide_index=True, key=f"ceilings-{device}", alt=f"Ceilings of {device}", placeholder="")
    return True


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per copy or product, one column per implementation that reached it."""
    named = rows.assign(
        point=[
            f"copy of {row['moved_bytes']:,} bytes [GB/s]" if row["what"] == "copy" else f"matmul {row['n']} [GFLOP/s]"
            for _, row in rows.iterrows()
        ],
        rate=rows["gb_s"].fillna(rows["gflops"]).astype("float64").round(2),
    )
    return named.pivot_table(index="point", columns="variant", values="rate", sort=False).reset_index()
