"""Pages of an app with a team: what the form offers, where a run goes, what it waits for."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from experiments.bench.errors import BadInput
from experiments.runs import store
from experiments.runs.team import VERSION, WorkerEndpoint, WorkerStatus
from experiments.runs.team.dispatch import Dispatcher
from tests.dashboard.jit_form import field

DEVICES = "from dashboard.pages import devices\ndevices.show()\n"
NOTICE = "from dashboard import services\nservices.team_notice()\n"


@pytest.fixture
def team(url, monkeypatch):
    """A team of three places, of which one takes runs; its dispatcher looks at nothing by itself."""
    monkeypatch.setenv("TINYLAB_SCHEDULER", "tcp://127.0.0.1:1")
    found = Dispatcher(url, "tcp://127.0.0.1:1")
    offers = [
        WorkerStatus(WorkerEndpoint("CPU", "desk"), VERSION),
        WorkerStatus(WorkerEndpoint("CUDA", "gpu-box"), VERSION, connected=False),
        WorkerStatus(WorkerEndpoint("CUDA", "old-box"), "0.0.1 (schema 1)"),
    ]
    found.workers, found.problem = {one.endpoint: one for one in offers}, ""
    monkeypatch.setattr(services, "_runner", lambda url: found)
    return found


def form(page):
    return field(page, "device")


def test_the_form_offers_devices_with_their_hosts_and_marks_what_is_away(team, jit_page):
    page = jit_page()
    assert form(page).options == [
        "auto (CPU @ desk)",
        "CPU @ desk",
        "CUDA @ gpu-box (unavailable)",
        "CUDA @ old-box (unavailable)",
    ]
    form(page).select("CUDA @ old-box").run()
    assert any("runs tinygrad lab 0.0.1" in one.value for one in page.caption)
    assert page.query_params["device"] == "CUDA @ old-box"


def test_a_place_that_is_away_is_refused_at_submit(team, jit_page, db):
    page = jit_page(device="CUDA @ gpu-box")
    page.button(key="run").click().run()
    assert page.error[0].value == "device: CUDA @ gpu-box is unavailable: its worker is not connected"
    assert store.count_runs(db) == 0


def test_a_run_waits_for_its_place_and_its_page_names_it(team, jit_page, db):
    page = jit_page()
    page.button(key="run").click().run()
    [run] = store.list_runs(db)
    assert (run["device"], run["host"], run["spec"]["device"]) == ("CPU", "desk", "CPU")
    assert services.waits_for("CPU", "desk") == "waiting for CPU @ desk"
    assert form(page).value == "CPU @ desk"
    assert "device" not in page.query_params


def test_the_devices_page_lists_the_team(team):
    page = AppTest.from_string(DEVICES, default_timeout=60).run()
    assert [one.key for one in page.button] == ["measure-CPUdesk"]
    assert [one.value for one in page.text] == [offer.problem for offer in team.workers.values() if offer.problem]


def test_a_scheduler_that_is_away_is_said_in_one_line(team):
    team.problem = "the scheduler does not answer"
    page = AppTest.from_string(NOTICE, default_timeout=60).run()
    assert [one.value for one in page.warning] == ["the scheduler does not answer"]
    assert services.waits_for("CPU", "desk") == "the scheduler does not answer"


def test_a_database_that_goes_away_is_said_in_one_line_and_the_app_lives(overview, stored, monkeypatch):
    stored()
    with monkeypatch.context() as away:
        away.setattr(
            store, "list_runs", lambda *_, **__: (_ for _ in ()).throw(store.StoreError("the database is away"))
        )
        page = overview()
        assert not page.exception
        assert [one.value for one in page.error] == ["the database is away"]
    assert not page.run().error


def test_a_link_of_a_team_is_refused_where_there_is_none(jit_page, db):
    page = jit_page(device="CPU @ gpu-box")
    page.button(key="run").click().run()
    assert page.error[0].value.startswith("device: CPU is on another machine, gpu-box; set TINYLAB")
    assert store.count_runs(db) == 0


@pytest.mark.parametrize("address", ["tcp://gpu-box:8786", "nonsense"])
def test_an_app_with_a_scheduler_that_it_may_not_use_shows_one_line(address, overview, monkeypatch):
    monkeypatch.setenv("TINYLAB_SCHEDULER", address)
    monkeypatch.setattr(services, "_runner", lambda url: Dispatcher(url, address))
    page = overview()
    assert not page.exception
    [line] = [one.value for one in page.error]
    assert line.startswith("scheduler: ")
    with pytest.raises(BadInput):
        services.dispatcher()
