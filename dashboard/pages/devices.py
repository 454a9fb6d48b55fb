"""The Devices page: the devices of this machine or of the team, whether each works, and if not, why."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from dashboard import services
from dashboard.figures import views
from dashboard.safe_render import escape_markdown, try_render
from experiments.bench.machine import devices
from experiments.bench.machine.device import Device
from experiments.bench.machine.environment import fingerprint, host
from experiments.runs import team


def show() -> None:
    """Draws the page: this machine's devices, or the team's."""
    st.title("Devices")
    if (dispatcher := services.dispatcher()) is not None:
        _team(dispatcher.workers)
        return
    st.markdown(f"**Which devices work on this machine ({escape_markdown(host())}), and what are their limits?**")
    everything = st.toggle(
        "Try every device that tinygrad knows",
        key="all",
        bind="query-params",
        help="Each device is tried in a separate process, which takes 1 to 3 s.",
    )
    probes = _all_probes() if everything else services.candidates()
    if st.button("Try again", icon=":material/refresh:"):
        devices.forget_probes()
        services.candidates.clear()
        _all_probes.clear()
        _facts.clear()
        st.rerun()
    for probe in probes:
        _device(probe)


def _team(workers: Mapping[team.WorkerEndpoint, team.WorkerStatus]) -> None:
    """The devices of the team's workers; each worker probes its device before every run."""
    st.markdown("**Which devices do the machines of this team have?**")
    if not workers:
        st.info(
            "No worker is connected: start `python -m experiments worker --scheduler …` on a machine with a device."
        )
    for endpoint, worker in workers.items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"#### {escape_markdown(str(endpoint))}")
            if worker.problem:
                st.badge("unavailable", icon=":material/block:", color="gray")
                st.text(worker.problem)
            else:
                st.badge("available", icon=":material/check_circle:", color="green")
                _sections(endpoint.device, endpoint.host, None)


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
        device = Device.parse(probe.device)
        if device.is_cpu:
            st.caption("Kernels run one after another on one core, however many cores there are.")
        if device.family.emulated:
            st.caption("An emulator for inspecting kernels: thousands of times slower than the CPU. No ceilings.")
            return
        _sections(probe.device, "", facts)


@st.cache_data(ttl=600, show_spinner=False)
def _facts(device: str) -> dict[str, Any]:
    return fingerprint(device)


def _sections(device: str, host: str, facts: Mapping[str, Any] | None) -> None:
    for name, view in views().items():
        try_render(f"The section of {name}", partial(view.device_section, device, host, facts), None)
