"""Starts the server as a user would, and stops it: for what measures it."""

import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_S = 180.0
ADDRESS = re.compile(r"http://[^:]+:(\d+)$")


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready."""

    port: int
    process: subprocess.Popen[str]


class ServerProcess:
    """A server that was started and may not be ready yet; `wait` until it is."""

    def __init__(self, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "experiments", "serve", "--model", str(model), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(self) -> RunningServer:
        """The server when it is ready; RuntimeError with its own words where it cannot be."""
        assert self.process.stdout and self.process.stderr  # noqa: S101 - asked for above
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline().strip()
        timer.cancel()
        if found := ADDRESS.search(line):
            return RunningServer(int(found[1]), self.process)
        self.process.kill()
        said = self.process.stderr.read().strip().splitlines() or [f"it was not ready within {START_S:g} s"]
        raise RuntimeError(f"the server did not start: {said[-1]}")

    def stop(self) -> None:
        """Asks it to end, and ends it after ten seconds; harmless after its end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def running(model: Path, *options: str) -> Iterator[RunningServer]:
    """A server for the packed model in a file, for as long as it is needed."""
    server = ServerProcess(model, *options)
    try:
        yield server.wait()
    finally:
        server.stop()
