"""The section `Why` of a run: its kernels on the roofline, the kernel timeline, the code of a selected kernel."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import services
from dashboard.figures import Details, Panel
from dashboard.figures.kernel_timeline import kernel_timeline
from dashboard.figures.roofline import roofline
from experiments.registry import find
from experiments.runs import frames, store

MAX_OTHERS = 30  # newest runs offered for overlay
MAX_OVERLAID = 3  # of them at once: there are four colors
MAX_VARIANTS = 4  # on one roofline; if there are more, the first and the selected one
MAX_LINES = 150  # of a kernel's source that are sent to the page by default
SHOWN = (
    *("number", "name", "global_size", "local_size", "kernel_ms", "host_us", "share", "gflops", "gb_s", "bound"),
    *("roof_fraction", "ops", "bytes", "loaded_bytes", "uops", "binary_bytes", "opts"),
)


def show(run: Any, details: Details, draw: Callable[[list[Panel], str], None]) -> None:
    """Draws the kernels of one grid point with `draw`; nothing for a run without kernels."""
    kernels = details.get("kernels", pd.DataFrame())
    if kernels.empty:
        return
    key = f"{run['id']}-why"
    st.markdown("#### Why: kernels and ceilings")
    variants = list(dict.fromkeys(kernels["variant"].astype(str)))
    chosen = variants[0]
    if len(variants) > 1:
        chosen = st.segmented_control("Variant", variants, default=chosen, required=True, key=f"{key}-variant")
    together = variants if len(variants) <= MAX_VARIANTS else dict.fromkeys([variants[0], chosen])
    named = {variant if len(variants) > 1 else _name(run): _of(kernels, variant) for variant in together}
    roofs = {_name(run): details["ceilings"]}
    for other in _others(run, key):
        named[_name(other)] = _same_point(_detail(other, "kernels"), kernels, find(run["experiment"]).grid)
        roofs[_name(other)] = _detail(other, "ceilings")
    panels = [roofline(named, roofs), kernel_timeline(_of(details["replay"], chosen))]
    draw([panel for panel in panels if panel], key)
    _table(_of(kernels, chosen), key)
    _memory(_of(details["memory"], chosen))
    _source(_of(kernels, chosen), key)


def _of(frame: pd.DataFrame, variant: str) -> pd.DataFrame:
    return frame[frame["variant"] == variant]


def _same_point(others: pd.DataFrame, kernels: pd.DataFrame, grid: Sequence[str]) -> pd.DataFrame:
    """Another run's kernels at the grid point of `kernels`; all its kernels if it did not measure that point."""
    there = others
    for axis in grid:
        if axis in kernels and kernels[axis].notna().any():
            there = there[there[axis] == kernels[axis].iloc[0]]
    return others if there.empty else there


def _name(run: Any) -> str:
    return f"{run['title']} {run['id']} ({run['device']})".strip()


def _others(run: Any, key: str) -> list[Any]:
    """Runs of the same experiment selected for overlay."""
    same = store.list_runs(services.database(), limit=MAX_OTHERS, experiment=run["experiment"], status="done")
    offered = {_name(one): one for one in same if one["id"] != run["id"]}
    if not offered:
        return []
    label = "Overlay other runs"
    return [
        offered[name] for name in st.multiselect(label, list(offered), key=f"{key}-others", max_selections=MAX_OVERLAID)
    ]


def _detail(run: Any, name: str) -> pd.DataFrame:
    return frames.detail_frame(services.database(), run, find(run["experiment"]), name)


def _table(kernels: pd.DataFrame, key: str) -> None:
    st.dataframe(
        kernels[list(SHOWN)],
        hide_index=True,
        key=f"{key}-kernels",
        placeholder="",
        alt="Kernels of one call",
        column_config={
            "kernel_ms": st.column_config.NumberColumn("kernel [ms]", format="%.4g"),
            "host_us": st.column_config.NumberColumn("host [µs]", format="%.3g"),
            "share": st.column_config.NumberColumn("share", format="percent"),
            "gflops": st.column_config.NumberColumn("rate [GFLOP/s]", format="%.4g"),
            "gb_s": st.column_config.NumberColumn("rate [GB/s]", format="%.4g"),
            "roof_fraction": st.column_config.NumberColumn("of its ceiling", format="percent"),
        },
    )


def _memory(plan: pd.DataFrame) -> None:
    if plan.empty or not plan["unplanned_bytes"].iloc[0]:
        return
    planned, unplanned = int(plan["planned_bytes"].iloc[0]), int(plan["unplanned_bytes"].iloc[0])
    st.caption(
        f"Memory planner: intermediate buffers take {planned:,} bytes in one arena, {unplanned:,} bytes without."
    )


def _source(kernels: pd.DataFrame, key: str) -> None:
    """The code of the selected kernel; very long code is truncated."""
    sources = kernels["source"].fillna("")
    labels = {
        f"{n} {name}": source for n, name, source in zip(kernels["number"], kernels["name"], sources, strict=True)
    }
    chosen = st.selectbox("Source of kernel", list(labels), key=f"{key}-source")
    lines = labels[chosen].splitlines()
    if not lines:
        st.caption("A copy has no code.")
        return
    everything = len(lines) <= MAX_LINES or st.toggle(f"All {len(lines):,} lines", key=f"{key}-all-lines")
    with st.expander("Code", expanded=False):
        st.code("\n".join(lines if everything else lines[:MAX_LINES]), language="c", height=400)
