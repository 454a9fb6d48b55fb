"""Starts the server as a user would, and stops it: for programs that measure it."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from experiments.bench.errors import last_line

START_TIMEOUT_S = 180.0
ADDRESS = re.compile(r"http://[^:]+:(\d+)$")


class ServerProcess:
    """A server process for a packed model. Its port is known after `wait`."""

    port: int

    def __init__(self, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "experiments", "serve", "--model", str(model), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(self) -> int:
        """The port of the server once it is ready; raises RuntimeError with its error if it does not start."""
        assert self.process.stdout and self.process.stderr  # noqa: S101 - requested above
        timer = threading.Timer(START_TIMEOUT_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline().strip()
        timer.cancel()
        if found := ADDRESS.search(line):
            self.port = int(found[1])
            return self.port
        self.process.kill()
        error = last_line(self.process.stderr.read(), f"not ready within {START_TIMEOUT_S:g} s")
        raise RuntimeError(f"the server did not start: {error}")

    def stop(self) -> None:
        """Asks the server to exit and kills it after ten seconds; does nothing if it has exited."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
