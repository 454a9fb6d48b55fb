"""The badges that show the state of a run."""

import time
from typing import Any

import streamlit as st

from dashboard.safe_render import escape_markdown
from experiments.runs.clock import format_time

STATES = {  # color and icon of each status
    "done": ("green", ":material/check_circle:"),
    "failed": ("red", ":material/error:"),
    "crashed": ("red", ":material/bolt:"),
    "timeout": ("orange", ":material/timer_off:"),
    "cancelled": ("orange", ":material/cancel:"),
    "lost": ("orange", ":material/signal_disconnected:"),
    "queued": ("gray", ":material/hourglass_empty:"),
    "running": ("blue", ":material/sync:"),
}


def show(run: Any) -> None:
    """Status, device, machine, date and duration of a run, and whether it was imported."""
    color, icon = STATES[run["status"]]
    facts = run["environment"] or {}
    machine = facts.get("gpu") or facts.get("cpu") or run["host"]
    took = (run["finished"] or time.time()) - (run["started"] or run["created"])
    with st.container(horizontal=True):
        st.badge(run["status"], icon=icon, color=color)
        st.badge(escape_markdown(f"{run['device']} · {machine}"), icon=":material/memory:", color="gray")
        st.badge(format_time(run["created"]), color="gray")
        st.badge(f"{took:.0f} s", icon=":material/timer:", color="gray")
        if run["imported"]:
            st.badge("imported", icon=":material/upload:", color="gray")
