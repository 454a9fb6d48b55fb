"""Stores to test with, and a run carried out in a thread."""

import os
import threading
from collections.abc import Iterator

import pytest
from lab_tools import Carry, left_over, wait_for
from sqlalchemy import Engine

from experiments.runs import schema, store
from experiments.runs.carry import carry_out

POSTGRES = os.environ.get("TINYLAB_TEST_POSTGRES", "")  # a URL of an empty database, whose tables are dropped


@pytest.fixture
def db(url: str) -> Engine:
    """The engine of this test's database."""
    return store.engine(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_db(request: pytest.FixtureRequest, url: str) -> Iterator[Engine]:
    """The same tests on SQLite and, where `TINYLAB_TEST_POSTGRES` gives one, on PostgreSQL."""
    if request.param == "sqlite":
        yield store.engine(url)
        return
    if not POSTGRES:
        pytest.skip("TINYLAB_TEST_POSTGRES names no database")
    store.engine.cache_clear()
    made = store.engine(POSTGRES)
    yield made
    schema.metadata.drop_all(made)
    made.dispose()
    store.engine.cache_clear()


@pytest.fixture
def carry(url: str) -> Iterator[Carry]:
    """Carries out a run in a thread, as the app does; waits for all of them at the end."""
    started: list[threading.Thread] = []

    def start(run_id: str, runner: str = "tester") -> threading.Thread:
        thread = threading.Thread(target=carry_out, args=(url, run_id, runner), daemon=True)
        started.append(thread)
        thread.start()
        return thread

    yield start
    for thread in started:
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def nothing_left(url: str) -> Iterator[None]:
    """At the end of the test no process that it started runs any more."""
    yield
    try:
        wait_for(lambda: not left_over(url))
    finally:
        for process in left_over(url):  # of a test that failed
            process.kill()
