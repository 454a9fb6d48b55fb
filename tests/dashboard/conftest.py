"""Pages in AppTest: every device works, nothing is ever measured, nothing is remembered from another test."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import services
from experiments.runs import store
from tests.dashboard.run_records import add

Opened = Callable[..., AppTest]
APP = Path(__file__).parents[2] / "streamlit_app.py"
JIT = "from dashboard.pages import experiment\nexperiment.show('jit')\n"


@pytest.fixture(autouse=True)
def no_measuring(any_device: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The runner is left out: a queued run stays queued."""
    monkeypatch.setattr(services, "_runner", store.engine)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def db(url: str) -> Engine:
    """The engine of this test's database."""
    return store.engine(url)


@pytest.fixture
def jit_page() -> Opened:
    """Opens the page of the JIT experiment with the parameters of its URL."""

    def opened(**parameters: str) -> AppTest:
        page = AppTest.from_string(JIT, default_timeout=60)
        for name, text in parameters.items():
            page.query_params[name] = text
        return page.run()

    return opened


@pytest.fixture
def overview() -> Callable[[], AppTest]:
    """Opens the app at its first page."""
    return lambda: AppTest.from_file(APP, default_timeout=60).run()


@pytest.fixture
def stored(db: Engine) -> Callable[..., str]:
    """Writes a run as the runner would have left it; returns its id."""
    return partial(add, db)
