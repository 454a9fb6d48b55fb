"""A team for tests: scheduler and workers as processes of their own, each worker with the name of a host of its own."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from experiments.registry import FOLDERS
from tests import processes
from tests.experiments.runs.lab_tools import wait_for

DEVICE = "PYTHON"  # tinygrad's emulator: works everywhere without a compiler
LAB = Path(__file__).parent / "lab"


def free_address(scheme: str = "tcp") -> str:
    """An address of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"{scheme}://127.0.0.1:{found.getsockname()[1]}"


@contextlib.contextmanager
def service(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m experiments …`, ended with all that it started."""
    environment = os.environ | {FOLDERS: str(LAB), "TMPDIR": str(folder)}
    log = (folder / f"{arguments[0]}-{len(list(folder.iterdir()))}.log").open("wb")
    with log:
        command = [sys.executable, "-m", "experiments", *arguments]
        started = processes.start(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield started
        finally:
            family = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            started.wait()


def worker_process(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """Dask's process below a worker service: the one that measures, or rather starts the child that does."""

    def found() -> list[psutil.Process]:
        return [one for one in psutil.Process(worker.pid).children() if "spawn_main" in " ".join(one.cmdline())]

    return wait_for(found)[0]
