"""What every test stands on: a database and a lock folder of its own, so that none meets the user's or another's."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import registry
from experiments.bench.machine import devices

LAB = Path(__file__).parent / "experiments" / "runs" / "lab"


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of this test. Its child processes inherit it, and the folder of its hardware locks."""
    made = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("TINYLAB_DATABASE", made)
    monkeypatch.setenv("TINYLAB_LOCKS", str(tmp_path / "tinylab-locks"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return made


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Registers the experiments of the folder `lab`: they need neither tinygrad nor a compiler."""
    monkeypatch.setenv(registry.FOLDERS, str(LAB))
    registry.forget()
    yield LAB
    registry.forget()


@pytest.fixture
def any_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every device is taken to work: spares each test the second that a true probe in a child process takes."""
    monkeypatch.setattr(devices, "probe", lambda device: devices.Probe(device, True, "taken to work"))
    monkeypatch.setattr(devices, "DRIVER_TRACES", {})
    devices.forget_probes()
    yield
    devices.forget_probes()
