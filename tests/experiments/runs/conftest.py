"""Databases to test with, and a run executed in a thread."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from experiments.runs.supervisor import execute
from tests.experiments.runs.lab_tools import DATABASES, ExecuteInThread, left_over, opened, wait_for


@pytest.fixture
def db(request: pytest.FixtureRequest, url: str) -> Iterator[Engine]:
    """The engine of this test's database: SQLite, and PostgreSQL too where the test says `on_both`."""
    with opened(getattr(request, "param", "sqlite"), url) as made:
        yield made


@pytest.fixture
def db_url(db: Engine) -> str:
    """The URL of `db`."""
    return db.url.render_as_string(hide_password=False)


@pytest.fixture(params=DATABASES)
def any_db(request: pytest.FixtureRequest, url: str) -> Iterator[Engine]:
    """The same tests on SQLite and, where `TINYLAB_TEST_POSTGRES` gives one, on PostgreSQL."""
    with opened(request.param, url) as made:
        yield made


@pytest.fixture
def execute_in_thread(db_url: str) -> Iterator[ExecuteInThread]:
    """Executes a run in a thread, as the app does; waits for all of them at the end."""
    started: list[threading.Thread] = []

    def start(run_id: str, runner: str = "tester") -> threading.Thread:
        thread = threading.Thread(target=execute, args=(db_url, run_id, runner), daemon=True)
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
