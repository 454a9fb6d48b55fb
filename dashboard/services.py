"""What all sessions of one app share: the database, the embedded runner, the devices of this machine."""

import threading

import streamlit as st
from sqlalchemy import Engine

from dashboard.text import plain
from experiments.bench import devices
from experiments.runs import jobs, store


def start() -> None:
    """Starts the runner and looks for devices, once per app; says in one line where that is impossible."""
    try:
        _runner(store.database_url())
    except store.StoreError as error:
        st.error(plain(str(error)), icon=":material/database_off:")
        st.stop()


@st.cache_resource(show_spinner=False)
def _runner(url: str) -> jobs.EmbeddedRunner:
    store.engine(url)
    threading.Thread(target=devices.candidates, daemon=True).start()
    return jobs.EmbeddedRunner(url).start()


def database() -> Engine:
    """The store that this app reads and its runner writes."""
    return store.engine(store.database_url())


@st.cache_resource(show_spinner="Looking for devices…", ttl=600)
def candidates() -> list[devices.Probe]:
    """The devices that the form offers, each tried once in a child process."""
    return devices.candidates()
