"""The child process that runs one experiment: `python -m experiments.runs.child FD`, started by the supervisor.

Reads one line of JSON from standard input (experiment, spec, ceilings), then writes events to the descriptor
FD, which nothing else writes to: output of tinygrad cannot be mistaken for an event. Standard input stays open as long
as the supervisor lives; when it closes, the child kills its own process group, so that no orphan goes on measuring.
Needs neither the database nor the page.
"""

import json
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, Any

from experiments.bench.columns import Value, check_record
from experiments.bench.errors import BadInput, first_line
from experiments.bench.events import DetailEvent, EndEvent, EnvironmentEvent, Event, FailedEvent, RowEvent, encode
from experiments.bench.rows import Row
from experiments.bench.spec import Experiment, MeasuredSpec, Spec, parse
from experiments.registry import find

EXIT_FAILED = 1  # the experiment raised, and a FailedEvent was sent
MAX_TRACEBACK_LINES = 60


def die_with_parent() -> None:
    """Kills this process group when standard input closes: the supervisor is dead."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def send(stream: IO[str], event: Event) -> None:
    """Writes one event as one line and flushes it."""
    stream.write(encode(event))
    stream.flush()


class Reporter:
    """Sends events; checks rows and details against the columns that the experiment declares."""

    def __init__(self, stream: IO[str], experiment: Experiment[Any]) -> None:
        self._stream, self._experiment = stream, experiment

    def emit(self, event: Event) -> None:
        """Sends one event; raises ValueError for a row or a detail that does not match its columns."""
        match event:
            case RowEvent(row):
                event = RowEvent(Row(_finite(row.values), row.samples))
                self._experiment.check_row(event.row)
            case DetailEvent(name, records):
                if name not in self._experiment.details:
                    raise ValueError(f"detail {name!r} is not declared")
                event = replace(event, records=[_finite(record) for record in records])
                for record in event.records:
                    check_record(record, self._experiment.details[name])
        send(self._stream, event)


def _finite(record: dict[str, Value]) -> dict[str, Value]:
    """The record with infinities and NaN as empty values, since JSON has neither."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }


def run_experiment(
    experiment: Experiment[Any], spec: Spec, reporter: Reporter, ceilings: Sequence[Mapping[str, Value]] = ()
) -> None:
    """Runs the experiment in this process and reports its rows."""
    from experiments.bench.machine.environment import fingerprint, volatile
    from experiments.bench.session import Bench

    reporter.emit(EnvironmentEvent(fingerprint(spec.device), volatile()))
    budget = spec.budget if isinstance(spec, MeasuredSpec) else None
    bench = Bench(spec.device, reporter.emit, budget=budget, ceilings=ceilings)
    for row in experiment.run(spec, bench):
        reporter.emit(RowEvent(row))
    reporter.emit(EndEvent())


def main() -> int:
    """Runs the job from standard input; returns 0 where the experiment reached its end."""
    job = json.loads(sys.stdin.readline())
    die_with_parent()
    events = int(sys.argv[1])
    os.set_inheritable(events, False)  # a process that the experiment starts must not keep the pipe open
    with os.fdopen(events, "w", encoding="utf-8") as stream:
        try:
            experiment = find(job["experiment"])
            spec = parse(experiment.spec, job["spec"])
            run_experiment(experiment, spec, Reporter(stream, experiment), job["ceilings"])
        except BadInput as refused:
            send(stream, FailedEvent(first_line(refused), ""))
            return EXIT_FAILED
        except Exception as error:  # noqa: BLE001 - any error of an experiment is reported and ends the run
            lines = traceback.format_exc().splitlines()[-MAX_TRACEBACK_LINES:]
            message = str(error).strip() and f"{type(error).__name__}: {first_line(error)}"
            send(stream, FailedEvent(message or first_line(error), "\n".join(lines)))
            return EXIT_FAILED
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the watchdog thread blocks in read(); do not join it or tinygrad's threads
