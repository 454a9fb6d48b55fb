"""The process that carries out one run: `python -m experiments.runs.child FD`, started by the runner.

Reads one line of JSON from standard input (experiment, spec, run id), then writes events as JSON lines to the
descriptor FD, which it owns alone: whatever tinygrad prints cannot be mistaken for one. Standard input stays
open as long as the runner lives; at its end the child ends its whole process group, so that no measurement
goes on for nobody. It needs neither the database nor the page.
"""

import json
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import IO, Any

from experiments.bench.columns import Value, check_record
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row
from experiments.bench.spec import Experiment, MeasuredSpec, Spec, parse
from experiments.registry import find

EXIT_FAILED = 1  # the experiment raised, and said so in an event


def die_with_parent() -> None:
    """Ends this process group when standard input reaches its end: the runner is gone."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def send(stream: IO[str], event: dict[str, Any]) -> None:
    """Writes one event as one line, at once."""
    stream.write(json.dumps(event, allow_nan=False) + "\n")
    stream.flush()


class Reporter:
    """Writes events; checks rows and details against what the experiment declared."""

    def __init__(self, stream: IO[str], experiment: Experiment[Any]) -> None:
        self._stream, self._experiment = stream, experiment

    def emit(self, event: dict[str, Any]) -> None:
        """Writes one event at once."""
        if event["event"] == "detail":
            if event["name"] not in self._experiment.details:
                raise ValueError(f"detail {event['name']!r} is not declared")
            event = event | {"records": [_finite(record) for record in event["records"]]}
            for record in event["records"]:
                check_record(record, self._experiment.details[event["name"]])
        send(self._stream, event)

    def row(self, row: Row) -> None:
        """Reports one row with its samples."""
        checked = Row(_finite(row.values), row.samples)
        self._experiment.check_row(checked)
        samples = [vars(one) for one in checked.samples]
        self.emit({"event": "row", "values": checked.values, "samples": samples})


def _finite(record: dict[str, Value]) -> dict[str, Value]:
    """The record with infinities and NaN as empty values: neither JSON nor a table has them."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }


def run_experiment(
    experiment: Experiment[Any], spec: Spec, reporter: Reporter, ceilings: Sequence[Mapping[str, Value]] = ()
) -> None:
    """Runs the experiment in this process and reports everything that it yields."""
    from experiments.bench.machine.environment import fingerprint, volatile
    from experiments.bench.session import Bench

    facts = fingerprint(spec.device)
    reporter.emit({"event": "environment", "facts": facts, "volatile": volatile()})
    budget = spec.budget if isinstance(spec, MeasuredSpec) else None
    bench = Bench(spec.device, reporter.emit, budget=budget, ceilings=ceilings)
    for row in experiment.run(spec, bench):
        reporter.row(row)
    reporter.emit({"event": "end"})


def main() -> int:
    """The exit code is 0 where the run was carried out to its end."""
    job = json.loads(sys.stdin.readline())
    die_with_parent()
    events = int(sys.argv[1])
    os.set_inheritable(events, False)  # a process that the experiment starts must not keep it open
    with os.fdopen(events, "w", encoding="utf-8") as stream:
        try:
            experiment = find(job["experiment"])
            spec = parse(experiment.spec, job["spec"])
            run_experiment(experiment, spec, Reporter(stream, experiment), job["ceilings"])
        except Exception as error:  # noqa: BLE001 - whatever an experiment raises is reported, and ends the run
            lines = [] if isinstance(error, BadInput) else traceback.format_exc().splitlines()[-60:]
            said = str(error).strip().splitlines() or [type(error).__name__]
            name = "" if isinstance(error, BadInput) else f"{type(error).__name__}: "
            send(stream, {"event": "failed", "message": f"{name}{said[0][:500]}", "traceback": "\n".join(lines)})
            return EXIT_FAILED
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the watching thread sits in a read; tinygrad's own threads need no farewell either
