"""Refusals of a team, each in one line: open addresses, other versions, missing devices, unknown endpoints."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.cli import doctor
from experiments.cli.main import main
from experiments.registry import find
from experiments.runs import jobs, store, team
from experiments.runs.team import VERSION, WorkerEndpoint, WorkerStatus
from experiments.runs.team.dispatch import Dispatcher
from experiments.runs.team.security import Certificates, check
from tests.experiments.runs.lab_tools import DEVICE, plain_run, queue_run, state

NOWHERE = "tcp://127.0.0.1:1"
NONE = Certificates("", "", "")


def refused(*arguments: str) -> str:
    with pytest.raises(BadInput) as said:
        check(*arguments, NONE)
    assert "\n" not in str(said.value)
    return str(said.value)


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "tcp://gpu-box:8786", "tcp://0.0.0.0:8786"])
def test_plain_tcp_off_loopback_is_refused_with_the_reason(address: str) -> None:
    assert "without TLS anyone who reaches it could run code on this machine" in refused(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786"])
def test_plain_tcp_on_loopback_is_let_through(address: str) -> None:
    check(address, NONE)


@pytest.mark.parametrize(
    "address", ["", "gpu-box:8786", "http://gpu-box:8786", "tcp://127.0.0.1", "tcp://[:1", "tls://:1"]
)
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    assert "is not understood; give tcp://127.0.0.1:8786 or tls://host:8786" in refused(address)


def test_tls_asks_for_files_that_are_there(tmp_path: Path) -> None:
    assert "needs --tls-ca or TINYLAB_TLS_CA" in refused("tls://gpu-box:8786")
    with pytest.raises(BadInput, match=r"--tls-ca: the file .*/no\.pem cannot be read"):
        check("tls://gpu-box:8786", Certificates(str(tmp_path / "no.pem"), "a", "b"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("worker", "--scheduler", "tcp://gpu-box:8786"), "without TLS anyone"),
        (("scheduler", "--address", "tcp://0.0.0.0:8786"), "without TLS anyone"),
        (("worker", "--scheduler", NOWHERE, "--devices", "TPU"), "devices: 'TPU' is not allowed"),
        (("worker", "--scheduler", NOWHERE, "--devices", DEVICE), f"devices: {DEVICE} does not work here: no driver"),
    ],
)
def test_the_commands_say_it_in_one_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "probed", lambda device: devices.Probe(device, False, "no driver"))
    assert main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.usefixtures("any_device")
def test_an_sqlite_file_is_not_for_other_hosts(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CA", "CERT", "KEY"):
        (tmp_path / name).touch()
        monkeypatch.setenv(f"TINYLAB_TLS_{name}", str(tmp_path / name))
    with pytest.raises(BadInput, match="other hosts cannot reach an SQLite file; set TINYLAB_DATABASE"):
        Dispatcher(url, "tls://gpu-box:8786")


class TestEndpoint:
    """A dispatcher with three endpoints: one connected, one disconnected, one of another version."""

    @pytest.fixture
    def app(self, url: str) -> Iterator[Dispatcher]:
        """A dispatcher that does not poll."""
        found = Dispatcher(url, NOWHERE)
        offers = [
            WorkerStatus(WorkerEndpoint("CPU", "alpha"), VERSION, connected=False),
            WorkerStatus(WorkerEndpoint("CPU", "beta"), VERSION),
            WorkerStatus(WorkerEndpoint("CUDA", "old"), "0.0.1 (schema 1)"),
        ]
        found.workers, found.problem = {one.endpoint: one for one in offers}, ""
        yield found

    def test_an_unnamed_endpoint_is_a_connected_one(self, app: Dispatcher) -> None:
        assert (
            app.endpoint("", "")
            == app.endpoint("CPU", "")
            == app.endpoint("CPU", "beta")
            == WorkerEndpoint("CPU", "beta")
        )

    @pytest.mark.parametrize(
        ("device", "host", "said"),
        [
            ("CPU", "alpha", "device: CPU @ alpha is unavailable: its worker is not connected"),
            ("CUDA", "", f"CUDA @ old runs tinygrad lab 0.0.1 \\(schema 1\\), but this app is {VERSION.split()[0]}"),
            ("METAL", "", "device: no worker has offered METAL @ any host"),
        ],
    )
    def test_an_endpoint_that_takes_no_run_is_refused_with_the_reason(
        self, app: Dispatcher, device: str, host: str, said: str
    ) -> None:
        with pytest.raises(BadInput, match=said):
            app.endpoint(device, host)

    def test_while_the_scheduler_is_down_a_run_may_wait_for_an_endpoint_that_was_connected(
        self, app: Dispatcher
    ) -> None:
        app.problem = "the scheduler does not answer"
        assert app.endpoint("CPU", "alpha") == WorkerEndpoint("CPU", "alpha")
        with pytest.raises(BadInput, match="the scheduler does not answer"):
            app.endpoint("METAL", "")


class FailedFuture:
    """Dask's future of a run that raised an error."""

    status = "error"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def done(self) -> bool:
        """True: it has ended."""
        return True

    def exception(self) -> Exception:
        """The error."""
        return self._error


def test_a_worker_that_cannot_reach_the_database_fails_the_run_with_the_reason(db: Engine, url: str) -> None:
    app, run_id, place = Dispatcher(url, NOWHERE), plain_run(db), WorkerEndpoint("CPU", "alpha")
    app._dispatched[place] = (
        run_id,
        FailedFuture(store.StoreError("the database x cannot be used: connection failed")),
    )
    app._collect()
    run = store.get_run(db, run_id)
    assert run is not None
    assert (run["status"], run["message"]) == (
        "failed",
        "CPU @ alpha could not start the run: the database x cannot be used: connection failed",
    )


def test_doctor_reports_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYLAB_SCHEDULER", NOWHERE)
    monkeypatch.setattr(devices, "probed", lambda device: devices.Probe(device, False, "not asked"))
    [line] = [one.line for one in doctor.examine() if one.what == "scheduler"]
    assert line.startswith("no   scheduler")
    assert "refused" in line


@pytest.mark.usefixtures("lab")
class TestChecksOfTheWorker:
    """Checks that only the host of the worker can make."""

    def test_a_device_that_vanished_fails_the_run_with_the_reason(
        self, db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = queue_run(db, "steps")
        monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, False, "no driver"))
        assert team.execute_on_worker(url, run_id) == "failed"
        run = store.get_run(db, run_id)
        assert run is not None
        assert (run["status"], run["message"]) == ("failed", f"device: {DEVICE} does not work here: no driver")

    @pytest.mark.usefixtures("any_device")
    def test_a_spec_that_needs_more_memory_than_there_is_fails_the_run(self, db: Engine, url: str) -> None:
        run_id = jobs.submit("steps", find("steps").spec(device="CPU", needs_gb=1e5), host="gpu-box")
        assert team.execute_on_worker(url, run_id) == "failed"
        run = store.get_run(db, run_id)
        assert run is not None
        assert run["message"].startswith("too large: a claim of 100000 GB needs 100000.0 GB; CPU has")

    def test_a_claimed_or_deleted_run_is_left_alone_and_no_device_is_probed(
        self, db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = queue_run(db, "steps")
        assert store.claim(db, run_id, "another")
        monkeypatch.delattr(devices, "probe")
        assert team.execute_on_worker(url, run_id) == ""
        assert team.execute_on_worker(url, "no such run") == ""
        assert state(db, run_id) == store.RUNNING

    @pytest.mark.usefixtures("any_device")
    def test_a_run_that_is_claimed_while_its_device_is_probed_is_left_alone(
        self, db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = queue_run(db, "steps")

        def slow(device: str) -> devices.Probe:
            store.claim(db, run_id, "another")
            return devices.Probe(device, True, "taken to work")

        monkeypatch.setattr(devices, "probe", slow)
        assert team.execute_on_worker(url, run_id) != "done"
        run = store.get_run(db, run_id)
        assert run is not None
        assert (run["status"], run["runner"]) == (store.RUNNING, "another")
        assert store.read_rows(db, run_id) == []


def test_what_is_wrong_on_any_host_is_refused_at_submit(db: Engine, lab: Path) -> None:
    wrong = find("steps").spec.model_construct(**find("steps").spec(device="CUDA").model_dump() | {"rows": -1})
    with pytest.raises(BadInput, match="rows: -1 is not allowed"):
        jobs.submit("steps", wrong, host="gpu-box")
    assert store.count_runs(db) == 0
