"""Processes that tests start: with default signal handling, whatever pytest itself was started with.

A shell script starts its background jobs with SIGINT ignored, and an ignored signal stays ignored in every process
below: without this, a test that interrupts what it started would fail when pytest runs in the background of a script.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

RESTORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def default_signals() -> None:
    """Restores the default handling of signals; runs in the child before its program."""
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)


def start(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """`subprocess.Popen` with default signal handling."""
    return subprocess.Popen(command, preexec_fn=default_signals, **options)


@contextlib.contextmanager
def module_process(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m name arguments…` with pipes for standard input and output; killed at the end."""
    command = [sys.executable, "-m", name, *arguments]
    started = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()
        started.wait()
