"""What all sessions of one app share: the database, what carries runs out, the devices that there are."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st
from sqlalchemy import Engine

from dashboard.text import plain
from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.bench.machine.devices import AUTO
from experiments.runs import jobs, store, team

if TYPE_CHECKING:
    from experiments.runs.team.dispatch import Dispatcher


def start() -> None:
    """Starts what carries runs out and looks for devices, once per app; says in one line where that is impossible."""
    try:
        _runner(store.database_url())
    except store.StoreError as error:
        st.error(plain(str(error)), icon=":material/database_off:")
        st.stop()
    except BadInput as refused:
        st.error(plain(str(refused)), icon=":material/hub:")
        st.stop()


@st.cache_resource(show_spinner=False)
def _runner(url: str) -> "jobs.EmbeddedRunner | Dispatcher":
    """This machine's own runner; with `TINYLAB_SCHEDULER` the team's workers carry out everything instead."""
    store.engine(url)
    if scheduler := _scheduler():
        team.check_installed()
        from experiments.runs.team.dispatch import Dispatcher

        return Dispatcher(url, scheduler).start()
    threading.Thread(target=devices.candidates, daemon=True).start()
    return jobs.EmbeddedRunner(url).start()


def _scheduler() -> str:
    return os.environ.get("TINYLAB_SCHEDULER", "")


def dispatcher() -> "Dispatcher | None":
    """What sends runs to the team's workers; None where this machine carries out its own."""
    found = _runner(store.database_url()) if _scheduler() else None
    return None if isinstance(found, jobs.EmbeddedRunner) else found


def team_notice() -> None:
    """Says on every page, in one line, that no run can be carried out now."""
    found = dispatcher()
    if found is not None and found.problem:
        st.warning(plain(found.problem), icon=":material/hub:")


def place(device: str, host: str) -> team.WorkerEndpoint | None:
    """Where a run goes; None for this machine. Raises BadInput where there is no such place, or none that is there."""
    found = dispatcher()
    if found is not None:
        return found.endpoint("" if device == AUTO else device, host)
    if host:
        raise BadInput(f"device: {device} of {host} is another machine's; set TINYLAB_SCHEDULER to reach it")
    return None


def waits_for(device: str, host: str) -> str:
    """What a queued run waits for, in one line."""
    found = dispatcher()
    if found is None:
        return "waits for its turn"
    offer = found.workers.get(team.WorkerEndpoint(device, host))
    return found.problem or (offer.problem if offer else "") or f"waits for {device} @ {host}"


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Says in one line what is wrong with the database, where a page or a part of one finds it away."""
    try:
        yield
    except store.StoreError as error:
        st.error(plain(str(error)), icon=":material/database_off:")


def database() -> Engine:
    """The store that this app reads and its runner writes."""
    return store.engine(store.database_url())


@st.cache_resource(show_spinner="Looking for devices…", ttl=600)
def candidates() -> list[devices.Probe]:
    """The devices of this machine that the form offers, each tried once in a child process."""
    return devices.candidates()
