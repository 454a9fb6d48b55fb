"""Experiments that end badly, each in its own way, after `rows` good rows. None needs tinygrad."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from experiments.bench.columns import Column
from experiments.bench.rows import Row
from experiments.bench.session import Bench
from experiments.bench.spec import Spec, experiment


class BadSpec(Spec):
    """How many good rows come first."""

    rows: int = Field(2, ge=0, le=1000, title="Rows", description="good rows before the end")


DECLARED: dict[str, Any] = {
    "section": "Compiler",
    "title": "Misbehaving",
    "question": "What becomes of a run that ends badly?",
    "spec": BadSpec,
    "presets": {"quick": BadSpec()},
    "grid": (),
    "columns": [Column("number", "integer", "of the row")],
    "summary": ("variant", "number"),
    "answer": lambda frame: "",
}


def _rows(spec: BadSpec) -> Iterator[Row]:
    for number in range(spec.rows):
        yield Row({"variant": "good", "number": number})


@experiment(**DECLARED)
def raises(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Raises after its rows."""
    yield from _rows(spec)
    raise RuntimeError("the steps have ended\nand a second line that nobody needs")


@experiment(**DECLARED)
def undeclared(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Reports a column that it never declared."""
    yield from _rows(spec)
    yield Row({"variant": "bad", "surprise": 1})


@experiment(**DECLARED)
def segfault(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Dies of a segmentation fault, as with a broken driver."""
    yield from _rows(spec)
    os.kill(os.getpid(), signal.SIGSEGV)


@experiment(**DECLARED)
def leaves(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Ends its process with an exit code and a message."""
    yield from _rows(spec)
    sys.exit("the driver has left")


@experiment(**DECLARED)
def hog(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Allocates 256 MB and holds them."""
    yield from _rows(spec)
    kept = bytearray(os.urandom(1024)) * (256 * 1024)
    time.sleep(120)
    yield Row({"variant": "too late", "number": len(kept)})


@experiment(**DECLARED)
def sleeper(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield from _rows(spec)
    time.sleep(120)


@experiment(**DECLARED)
def spawner(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Starts a child process, reports its id, and waits for it."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield Row({"variant": "grandchild", "number": started.pid})
    yield from _rows(spec)
    started.wait()


@experiment(**DECLARED)
def deserter(spec: BadSpec, bench: Bench) -> Iterator[Row]:
    """Ends well, but leaves a process behind."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield Row({"variant": "grandchild", "number": started.pid})
