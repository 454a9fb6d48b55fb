"""One protocol for helper processes: a function runs in a separate process and answers requests.

`python -m experiments.bench.timing.helper_process module:function` reads one line of JSON, the function's arguments,
from standard input. The function prepares and returns either its response or a handler. The helper then writes
`ready`, and answers each further line (a JSON list, the handler's arguments) with one line of JSON. So several
helpers can prepare at once and still be measured one after another. It ends at the end of its input and, on Linux,
with its parent. A helper that fails prints its cause as the last line on standard error.
"""

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import psutil

from experiments.bench.errors import one_line
from experiments.bench.machine.toolchain import child_environment

READY = "ready"
TERMINATE_GRACE_S = 1.0  # between SIGTERM and SIGKILL for the processes that a helper has started
SET_PARENT_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


class HelperFailed(RuntimeError):
    """A helper process raised, died or exceeded its time limit; `cause` is one line."""

    def __init__(self, function: str, cause: str) -> None:
        super().__init__(f"the helper process of {function} failed: {cause}")
        self.cause = cause


class HelperProcess:
    """A process that runs `module:function` for `device`; compiled kernels are cached in the file `cache`.

    It belongs to this process's group, so that it ends with the run.
    """

    def __init__(self, device: str, function: str, cache: Path | None = None, **arguments: Any) -> None:
        self._function = function
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        environment = child_environment(device)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.bench.timing.helper_process", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment | {"CACHEDB": str(cache)} if cache else environment,
        )
        self._write({"device": device, **arguments})

    def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Returns when the function has prepared; raises HelperFailed if it cannot, or not in time."""
        self._read(timeout_s)

    def request(self, *arguments: Any) -> None:
        """Sends one request and returns while the helper works on it."""
        self._write(arguments)

    def answered(self, timeout_s: float) -> bool:
        """Whether the helper has responded or ended within `timeout_s` seconds."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe was requested
        with selectors.DefaultSelector() as selector:  # select() fails beyond 1,024 open files
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(timeout_s))

    def response(self, timeout_s: float | None = None) -> Any:
        """The response to the last request. Raises HelperFailed if the helper fails or exceeds the time limit."""
        return json.loads(self._read(timeout_s))

    def ask_and_close(self, *arguments: Any) -> Any:
        """The response to one last request; the process has ended when this returns."""
        self.request(*arguments)
        response = self.response()
        self.close()
        return response

    def close(self) -> None:
        """Ends the process and everything it has started; harmless after its end."""
        children = _suspended_with_children(self._process.pid)
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        _end(children)

    def _write(self, message: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was requested
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def _read(self, timeout_s: float | None) -> str:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was requested
        if timeout_s is not None and not self.answered(timeout_s):
            self.close()
            raise HelperFailed(self._function, f"no answer within {timeout_s:g} s")
        return self._process.stdout.readline() or self._fail()

    def _fail(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        cause = self._errors.read().strip().splitlines()[-1:] or [f"exit code {code}"]
        self.close()
        raise HelperFailed(self._function, cause[0])


def _suspended_with_children(pid: int) -> list[psutil.Process]:
    """Suspends the process, so that it cannot start more children, and returns its current children."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        parent.suspend()
        return parent.children(recursive=True)
    return []


def _end(processes: list[psutil.Process]) -> None:
    """Terminates before it kills: Python's resource tracker outlives the others and cleans up after them."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, TERMINATE_GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def run_in_process(device: str, function: str, cache: Path | None = None, **arguments: Any) -> Any:
    """The response of `module:function`, prepared and called in a helper process."""
    process = HelperProcess(device, function, cache, **arguments)
    process.wait_until_ready()
    return process.ask_and_close()


def main() -> None:
    """Prepares the function named on the command line and answers requests until standard input ends."""
    _end_with_parent()
    module, _, function = sys.argv[1].partition(":")
    arguments = json.loads(sys.stdin.readline())
    responses = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever the function prints is no response
    try:
        handler = getattr(importlib.import_module(module), function)(**arguments)
        print(READY, file=responses, flush=True)
        for line in sys.stdin:
            response = handler(*json.loads(line)) if callable(handler) else handler
            print(json.dumps(response), file=responses, flush=True)
    except Exception as error:  # noqa: BLE001 - the last line on standard error is the cause that the parent shows
        traceback.print_exc()
        sys.exit(one_line(error))


def _end_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, also while it computes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    main()
