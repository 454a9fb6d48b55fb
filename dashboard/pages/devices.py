"""What this machine can run on, what each device is, whether it works and if not why, and its ceilings."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import links, services
from dashboard.controls import RUN
from dashboard.pages.experiment import submit
from dashboard.text import plain
from experiments.bench.machine import devices
from experiments.bench.machine.environment import fingerprint, host, key
from experiments.registry import find
from experiments.runs import frames, store, team
from experiments.runs.clock import format_time

CEILINGS = "ceilings"


def show() -> None:
    """Draws the page: this machine's devices, or the team's."""
    st.title("Devices")
    if (dispatcher := services.dispatcher()) is not None:
        _team(dispatcher.workers)
        return
    st.markdown(f"**What can this machine ({plain(host())}) run on, and what is the most that it can do?**")
    everything = st.toggle(
        "Try every device that tinygrad knows",
        key="all",
        bind="query-params",
        help="Each in a process of its own, 1 to 3 s each.",
    )
    probes = _all_probes() if everything else services.candidates()
    if st.button("Look again", icon=":material/refresh:"):
        devices.forget_probes()
        services.candidates.clear()
        _all_probes.clear()
        _facts.clear()
        st.rerun()
    for probe in probes:
        _device(probe)


def _team(offers: Mapping[team.WorkerEndpoint, team.WorkerStatus]) -> None:
    """What the workers of other hosts offer; each tries its device before every run."""
    st.markdown("**What do the machines of this team offer?**")
    if not offers:
        st.info(
            "No worker has come yet: start `python -m experiments worker --scheduler …` on a machine with a device."
        )
    for place, offer in offers.items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"#### {plain(str(place))}")
            if offer.problem:
                st.badge("takes no runs", icon=":material/block:", color="gray")
                st.text(offer.problem)
            else:
                st.badge("takes runs", icon=":material/check_circle:", color="green")
                _measure(place.device, place.host)


@st.cache_resource(show_spinner="Trying every device…", ttl=600)
def _all_probes() -> list[devices.Probe]:
    return devices.all_probes()


def _device(probe: devices.Probe) -> None:
    with st.container(border=True):
        st.markdown(f"#### {probe.device}")
        if not probe.works:
            st.badge("does not work", icon=":material/block:", color="gray")
            st.text(probe.what)
            return
        facts = _facts(probe.device)
        st.badge("works", icon=":material/check_circle:", color="green")
        st.text(f"{facts.get('gpu') or facts['cpu']}, {probe.what}")
        if probe.device == "CPU":
            st.caption("Kernels run one after another on one core, whatever the number of cores.")
        if probe.device == "PYTHON":
            st.caption(
                "An emulator for looking at kernels: thousands of times slower than the CPU, so without ceilings."
            )
            return
        _ceilings(probe.device, facts)


@st.cache_data(ttl=600, show_spinner=False)
def _facts(device: str) -> dict[str, Any]:
    return fingerprint(device)


def _ceilings(device: str, facts: dict[str, Any]) -> None:
    """The latest ceilings that were measured on this device, with their date, and the offer to measure them."""
    experiment, db = find(CEILINGS), services.database()
    found = store.list_runs(db, limit=1, experiment=CEILINGS, fingerprint=key(facts), status="done")
    if found:
        rows = frames.rows_frame(db, found[0], experiment)
        st.markdown(plain(experiment.answer(rows)))
        measured = f"Measured {format_time(found[0]['created'])}"
        st.page_link(links.experiment_page(CEILINGS), label=measured, query_params={RUN: found[0]["id"]})
        st.dataframe(
            _table(rows), hide_index=True, key=f"ceilings-{device}", alt=f"Ceilings of {device}", placeholder=""
        )
    else:
        st.caption("Ceilings not measured yet: until then each run measures a few for itself.")
    _measure(device, again=bool(found))


def _measure(device: str, host: str = "", *, again: bool = False) -> None:
    """The offer to measure the ceilings of a device."""
    label = "Measure the ceilings again" if again else "Measure the ceilings"
    if st.button(label, icon=":material/speed:", key=f"measure-{device}{host}"):
        experiment = find(CEILINGS)
        preset = experiment.preset("standard" if device.startswith("CPU") else "gpu")
        spec = preset.model_copy(update={"device": device})
        submit(experiment, spec, partial(links.open_run, CEILINGS), host=host)


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per copy or product, one column per who reached it."""
    named = rows.assign(
        point=[
            f"copy of {row['moved_bytes']:,} bytes [GB/s]" if row["what"] == "copy" else f"matmul {row['n']} [GFLOP/s]"
            for _, row in rows.iterrows()
        ],
        rate=rows["gb_s"].fillna(rows["gflops"]).astype("float64").round(2),
    )
    return named.pivot_table(index="point", columns="variant", values="rate", sort=False).reset_index()
