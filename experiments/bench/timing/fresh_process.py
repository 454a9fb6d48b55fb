"""Runs one function in a fresh process.

`python -m experiments.bench.timing.fresh_process module:function < arguments.json`.

The function returns its answer, or having prepared, a call that gives it: that is made when the caller says so, so
that several processes can prepare at once and still be measured one after another. The answer is one line of JSON.
"""

import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import psutil

from experiments.bench.columns import Value
from experiments.bench.machine.toolchain import child_environment

READY = "ready"
GRACE_S = 1.0  # between SIGTERM and SIGKILL of what a process has started


class ColdProcess:
    """A process that prepares `module:function` with its compiled kernels in `cache`, until it is told to go.

    It inherits this process's group, so that it ends with the run.
    """

    def __init__(self, device: str, function: str, cache: Path, **arguments: Value) -> None:
        self._function = function
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the process has answered
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.bench.timing.fresh_process", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=child_environment(device) | {"CACHEDB": str(cache)},
        )
        self._tell(json.dumps({"device": device, **arguments}))

    def wait_until_ready(self) -> None:
        """Returns when the process has prepared; RuntimeError with the cause in one line where it cannot."""
        self._hear()

    def go(self) -> dict[str, Any]:
        """Measures; the process has ended when the answer is there. RuntimeError with the cause where it fails."""
        self.start()
        return self.answer()

    def start(self) -> None:
        """Says go, and returns while the process measures."""
        self._tell("go")

    def answered(self, seconds: float) -> bool:
        """Waits at most `seconds`; whether the process has answered or ended by then."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def answer(self) -> dict[str, Any]:
        """What was measured, and the end of the process. RuntimeError with the cause where it fails."""
        answer: dict[str, Any] = json.loads(self._hear())
        self.close()
        return answer

    def close(self) -> None:
        """Ends the process and all that it has started, whatever they do; harmless after its end."""
        started = _stopped_with_children(self._process.pid)
        self._process.kill()
        self._process.communicate()
        self._said.close()
        _end(started)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def _hear(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        return self._process.stdout.readline() or self._fail()

    def _fail(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        cause = self._said.read().strip().splitlines()[-1:] or [f"exit code {code}"]
        self.close()
        raise RuntimeError(f"the cold process of {self._function} failed: {cause[0]}")


def _stopped_with_children(pid: int) -> list[psutil.Process]:
    """What this process has started; it is stopped first, so that it starts no more."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        parent.suspend()
        return parent.children(recursive=True)
    return []


def _end(processes: list[psutil.Process]) -> None:
    """Asked first, so that Python's tracker of shared resources outlives the rest and cleans up after it."""
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.terminate()
    _, alive = psutil.wait_procs(processes, GRACE_S)
    for one in alive:
        with contextlib.suppress(psutil.Error):
            one.kill()


def in_process(device: str, function: str, cache: Path, **arguments: Value) -> dict[str, Any]:
    """Prepares and measures `module:function` in a process of its own; returns its JSON answer."""
    process = ColdProcess(device, function, cache, **arguments)
    process.wait_until_ready()
    return process.go()


def main() -> None:
    """Prepares the function named on the command line with the arguments from standard input, waits, and goes."""
    module, _, function = sys.argv[1].partition(":")
    arguments = json.loads(sys.stdin.readline())
    answer_to = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever is printed on the way is no answer
    try:
        measure = getattr(importlib.import_module(module), function)(**arguments)
        print(READY, file=answer_to, flush=True)
        if sys.stdin.readline():
            answer = measure() if callable(measure) else measure
            print(json.dumps(answer), file=answer_to, flush=True)
    except Exception as error:  # noqa: BLE001 - the last line that is printed is what the caller shows
        from experiments.bench.errors import one_line

        traceback.print_exc()
        sys.exit(one_line(error))


if __name__ == "__main__":
    main()
