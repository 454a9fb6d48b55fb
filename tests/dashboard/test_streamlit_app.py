"""The start of the app, and its one-line message if it cannot start."""

import sqlite3
from pathlib import Path

import pytest

from dashboard import services
from experiments.bench.machine import devices
from experiments.runs import schema, store


@pytest.fixture
def path(url):
    """The file of this test's database."""
    return Path(url.removeprefix("sqlite:///"))


def said_at_start(page):
    """The one line that the app says instead of a page."""
    assert not page.exception
    assert not page.title
    [line] = [one.value for one in page.error]
    assert "\n" not in line
    return line


def test_a_database_that_is_none_is_said_in_one_line(overview, path):
    path.write_bytes(b"this is no database" * 1000)
    assert "cannot be used: file is not a database" in said_at_start(overview())


def test_a_database_in_no_folder_is_said_in_one_line(overview, monkeypatch):
    monkeypatch.setenv("TINYLAB_DATABASE", "sqlite:////no/such/folder/runs.db")
    assert "/no/such/folder/runs.db cannot be used: unable to open database file" in said_at_start(overview())


def test_a_database_of_a_newer_version_is_refused_in_one_line(overview, path, db):
    db.dispose()
    store.engine.cache_clear()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = ?", (str(schema.VERSION + 1),))
    connection.close()
    assert "update tinygrad lab" in said_at_start(overview())


def test_one_app_has_one_runner_and_looks_for_devices_once(overview, monkeypatch):
    looked = []
    monkeypatch.setattr(
        devices, "candidates", lambda: looked.append(1) or [devices.Probe("CPU", True, "taken to work")]
    )
    overview()
    overview()
    assert looked == [1]
    assert services.candidates()[0].device == "CPU"
