"""A team of two hosts: one page sends a run to each, cancels, loses a worker and the scheduler; nothing runs twice."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import services
from experiments.registry import find
from experiments.runs import jobs, store
from experiments.runs.team import WorkerEndpoint
from experiments.runs.team.dispatch import Dispatcher
from tests.experiments.runs.lab_tools import POSTGRES, numbers, opened, state, wait_for
from tests.experiments.runs.team_services import DEVICE, free_address, service, worker_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lab")]

STEPS = "from dashboard.pages import experiment\nexperiment.show('steps')\n"
COMPARE = "from dashboard.pages import compare\ncompare.show()\n"


class Team:
    """The services of a team, and the database that its hosts share."""

    def __init__(self, folder: Path, db: Engine, stack: contextlib.ExitStack) -> None:
        self.folder, self.db, self._stack = folder, db, stack
        self.url = db.url.render_as_string(hide_password=False)
        self.scheduler = free_address()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start_scheduler(self) -> contextlib.ExitStack:
        """Starts it; the stack that is returned ends it."""
        stack = self._stack.enter_context(contextlib.ExitStack())
        stack.enter_context(service(self.folder, "scheduler", "--address", self.scheduler))
        return stack

    def start_worker(self, host: str) -> None:
        """A worker service with the name of a host."""
        arguments = ("worker", "--scheduler", self.scheduler, "--name", host, "--devices", DEVICE)
        self.workers[host] = self._stack.enter_context(service(self.folder, *arguments))


@pytest.fixture(scope="module")
def services_of_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Team, contextlib.ExitStack]]:
    """Scheduler, workers alpha and beta, PostgreSQL where there is one; started once for this module."""
    folder = tmp_path_factory.mktemp("team")
    kind = "postgresql" if POSTGRES else "sqlite"
    with contextlib.ExitStack() as stack:
        db = stack.enter_context(opened(kind, f"sqlite:///{folder / 'team.db'}"))
        team = Team(folder, db, stack)
        scheduler = team.start_scheduler()
        for host in ("alpha", "beta"):
            team.start_worker(host)
        yield team, scheduler


@pytest.fixture
def team(
    services_of_team: tuple[Team, contextlib.ExitStack], url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """The team with an app that knows of it, whose dispatcher has seen both workers."""
    found, _ = services_of_team
    monkeypatch.setenv("TINYLAB_DATABASE", found.url)
    monkeypatch.setenv("TINYLAB_SCHEDULER", found.scheduler)
    st.cache_resource.clear()
    app = services.dispatcher()
    assert app is not None
    wait_for(lambda: [one.problem for one in app.workers.values()] == ["", ""])
    yield found
    app.stop()
    st.cache_resource.clear()


def submitted(host: str, **fields: Any) -> str:
    return jobs.submit("steps", find("steps").spec(device=DEVICE, **fields), host=host)


def run_of(db: Engine, run_id: str) -> Any:
    run = store.get_run(db, run_id)
    assert run is not None
    return run


def ended(db: Engine, run_id: str) -> Any:
    wait_for(lambda: state(db, run_id) in store.ENDED)
    return run_of(db, run_id)


def device_field(page: AppTest) -> Any:
    return next(one for one in page.selectbox if str(one.key).startswith("steps:device:"))


def test_one_page_sends_a_run_to_each_of_two_workers_and_both_are_in_one_comparison(team: Team) -> None:
    page, ids = AppTest.from_string(STEPS, default_timeout=60).run(), []
    assert device_field(page).options == [f"auto ({DEVICE} @ alpha)", f"{DEVICE} @ alpha", f"{DEVICE} @ beta"]
    for host in ("alpha", "beta"):
        device_field(page).select(f"{DEVICE} @ {host}").run()
        page.button(key="run").click().run()
        assert not page.exception
        assert not page.error
        ids.append(page.query_params["run"])
    runs = [ended(team.db, run_id) for run_id in ids]
    assert [(run["status"], run["device"], run["host"]) for run in runs] == [
        ("done", DEVICE, "alpha"),
        ("done", DEVICE, "beta"),
    ]
    assert all(run["memory_limit_bytes"] > 0 for run in runs)
    assert [run["runner"].split("-")[0] for run in runs] == ["alpha", "beta"]
    assert [store.read_artifacts(team.db, run_id) for run_id in ids] == [{"steps.txt": b"3 steps"}] * 2
    comparison = AppTest.from_string(COMPARE, default_timeout=60)
    for name, text in {"runs": ",".join(ids), "x": "number", "y": "wait_s"}.items():
        comparison.query_params[name] = text
    comparison.run()
    assert not comparison.exception
    drawn = [
        trace["name"] for chart in comparison.get("plotly_chart") for trace in json.loads(chart.proto.spec)["data"]
    ]
    assert all(any(run_id[:6] in name for name in drawn) for run_id in ids), drawn


def test_a_run_is_cancelled_from_afar(team: Team) -> None:
    run_id = submitted("beta", rows=1000, pause_s=0.05)
    wait_for(lambda: numbers(team.db, run_id))
    store.request_cancel(team.db, run_id)
    assert ended(team.db, run_id)["status"] == "cancelled"


def test_two_apps_submit_the_same_runs_and_each_is_executed_once(team: Team) -> None:
    other = Dispatcher(team.url, team.scheduler).start()
    ids = [submitted(host, rows=2) for host in ("alpha", "beta", "alpha")]
    runs = [ended(team.db, run_id) for run_id in ids]
    other.stop()
    assert [run["status"] for run in runs] == ["done"] * 3
    assert [numbers(team.db, run_id) for run_id in ids] == [[0, 1]] * 3


def test_a_killed_worker_loses_its_run_alone_and_comes_back_for_the_next(team: Team) -> None:
    lost, following = submitted("alpha", rows=1000, pause_s=0.05), submitted("alpha", rows=1)
    wait_for(lambda: numbers(team.db, lost))
    worker_process(team.workers["alpha"]).kill()
    run = ended(team.db, lost)
    assert (run["status"], run["message"]) == ("lost", f"the worker of {DEVICE} @ alpha was killed or disconnected")
    kept = numbers(team.db, lost)
    assert kept == list(range(len(kept)))
    assert ended(team.db, following)["status"] == "done"
    assert numbers(team.db, lost) == kept  # not executed again


def test_runs_wait_while_the_scheduler_is_down_and_the_page_shows_it(
    team: Team, services_of_team: tuple[Team, contextlib.ExitStack]
) -> None:
    app = services.dispatcher()
    assert app is not None
    services_of_team[1].close()
    wait_for(lambda: app.problem)
    page = AppTest.from_string("from dashboard import services\nservices.team_notice()\n" + STEPS, default_timeout=60)
    page.run()
    [line] = [one.value for one in page.warning]
    assert "does not answer; runs wait until it is back" in line
    assert device_field(page).options[1] == f"{DEVICE} @ alpha (unavailable)"
    device_field(page).select(f"{DEVICE} @ alpha").run()
    page.button(key="run").click().run()
    assert not page.error
    run_id = page.query_params["run"]
    assert run_of(team.db, run_id)["status"] == store.QUEUED
    team.start_scheduler()
    assert ended(team.db, run_id)["status"] == "done"
    assert app.endpoint(DEVICE, "alpha") == WorkerEndpoint(DEVICE, "alpha")


def test_only_holders_of_the_certificate_reach_a_scheduler(
    services_of_team: tuple[Team, contextlib.ExitStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = services_of_team[0].db
    url = db.url.render_as_string(hide_password=False)
    for name in ("ours", "theirs"):
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
        subprocess.run(
            ["openssl", "req", "-x509", *curve, *files, "-subj", f"/CN={name}"],  # noqa: S607 - the system's
            check=True,
            capture_output=True,
        )

    def show(name: str) -> None:
        monkeypatch.setenv("TINYLAB_TLS_CA", str(tmp_path / f"{name}.pem"))
        monkeypatch.setenv("TINYLAB_TLS_CERT", str(tmp_path / f"{name}.pem"))
        monkeypatch.setenv("TINYLAB_TLS_KEY", str(tmp_path / f"{name}.key"))

    show("ours")
    address = free_address("tls")
    worker = ("worker", "--scheduler", address, "--name", "gamma", "--devices", DEVICE)
    monkeypatch.setenv("TINYLAB_DATABASE", url)
    with service(tmp_path, "scheduler", "--address", address), service(tmp_path, *worker):
        app = Dispatcher(url, address).start()
        run_id = submitted("gamma", rows=1)
        assert ended(db, run_id)["status"] == "done"
        app.stop()
        show("theirs")
        stranger = Dispatcher(url, address).start()
        wait_for(lambda: "does not answer" in stranger.problem)
        assert stranger.workers == {}
        stranger.stop()
