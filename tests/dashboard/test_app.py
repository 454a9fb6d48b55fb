"""The app as it starts: the Overview, and what it says where it cannot start."""

import sqlite3
from pathlib import Path

import pytest

from dashboard import services
from experiments.bench.machine import devices
from experiments.bench.machine.toolchain import NO_COMPILER
from experiments.registry import registered
from experiments.runs import schema, store

OFFER = "Run the quick JIT preset"


def offer(page):
    return next(one for one in page.button if one.label == OFFER)


def links(page):
    return [one.proto.label for one in page.get("page_link")]


def captions(page):
    return [one.value for one in page.caption]


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


def test_without_runs_the_overview_says_so_and_offers_the_quick_preset(overview):
    page = overview()
    assert page.title[0].value == "tinygrad lab"
    assert page.info[0].value.startswith("No runs of your own yet.")
    assert not offer(page).disabled
    assert not page.error


def test_the_offered_preset_is_queued_and_its_page_is_opened(overview, db):
    page = overview()
    offer(page).click().run()
    [run] = store.list_runs(db)
    assert (run["experiment"], run["status"], run["spec"]["batch"]) == ("jit", store.QUEUED, [16, 64])
    assert page.title[0].value == "JIT"
    assert page.query_params == {"run": run["id"]}


def test_every_experiment_is_linked_with_its_question(overview):
    page = overview()
    titles = [f"**{one.title}**" for one in registered().values()]
    assert [one for one in links(page) if one in titles] == titles
    assert {one.question for one in registered().values()} <= set(captions(page))


def test_runs_are_listed_with_their_answers_or_ends(overview, stored):
    stored()
    stored(status="failed", message="no such device")
    stored(status=store.QUEUED)
    page = overview()
    assert not page.info
    assert "**JIT** · CPU · done" in "\n".join(links(page))
    assert "**JIT** · CPU · failed" in "\n".join(links(page))
    assert "**JIT** · CPU · queued" in "\n".join(links(page))
    assert any("4x faster" in one for one in captions(page))
    assert "no such device" in captions(page)


def test_a_run_of_an_experiment_that_is_gone_takes_nothing_along(overview, stored):
    stored(experiment="gone")
    page = overview()
    assert not page.exception
    assert offer(page)


def test_without_a_c_compiler_the_overview_says_the_command_that_mends_it(overview, monkeypatch):
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, False, NO_COMPILER))
    devices.forget_probes()
    [line] = [one.value for one in overview().error]
    assert "pip install ziglang" in line


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
