"""What all sessions of the app share: the database, the runner or dispatcher, the available devices."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st
from sqlalchemy import Engine

from dashboard.safe_render import escape_markdown
from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.bench.machine.device import AUTO
from experiments.runs import jobs, store, team

if TYPE_CHECKING:
    from experiments.runs.team.dispatch import Dispatcher


def start() -> None:
    """Starts the runner and the device probes, once per app; shows one line and stops where that is impossible."""
    try:
        _runner(store.database_url())
    except store.StoreError as error:
        st.error(escape_markdown(str(error)), icon=":material/database_off:")
        st.stop()
    except BadInput as refused:
        st.error(escape_markdown(str(refused)), icon=":material/hub:")
        st.stop()


@st.cache_resource(show_spinner=False)
def _runner(url: str) -> "jobs.EmbeddedRunner | Dispatcher":
    """The embedded runner; with `TINYLAB_SCHEDULER`, the dispatcher to the team's workers instead."""
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
    """The dispatcher to the team's workers; None if this machine executes its own runs."""
    found = _runner(store.database_url()) if _scheduler() else None
    return None if isinstance(found, jobs.EmbeddedRunner) else found


def team_notice() -> None:
    """Warns on every page, in one line, when no run can be executed now."""
    found = dispatcher()
    if found is not None and found.problem:
        st.warning(escape_markdown(found.problem), icon=":material/hub:")


def place(device: str, host: str) -> team.WorkerEndpoint | None:
    """The worker for a run; None for this machine. Raises BadInput if there is no such worker or it is unavailable."""
    found = dispatcher()
    if found is not None:
        return found.endpoint("" if device == AUTO else device, host)
    if host:
        raise BadInput(f"device: {device} is on another machine, {host}; set TINYLAB_SCHEDULER to reach it")
    return None


def waits_for(device: str, host: str) -> str:
    """The reason why a run is still queued, in one line."""
    found = dispatcher()
    if found is None:
        return "waiting for earlier runs"
    worker = found.workers.get(team.WorkerEndpoint(device, host))
    return found.problem or (worker.problem if worker else "") or f"waiting for {device} @ {host}"


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Shows a database error raised by a page, or a part of one, as one line."""
    try:
        yield
    except store.StoreError as error:
        st.error(escape_markdown(str(error)), icon=":material/database_off:")


def database() -> Engine:
    """The database of this app and its runner."""
    return store.engine(store.database_url())


@st.cache_resource(show_spinner="Looking for devices…", ttl=600)
def candidates() -> list[devices.Probe]:
    """The devices of this machine that the form lists, each probed once in a child process."""
    return devices.candidates()
