"""`run`: one experiment, measured here and now."""

import sys
import tempfile
from argparse import ArgumentParser, Namespace
from typing import Any

from experiments.bench.spec import Experiment
from experiments.cli.errors import check_writable, report, uses_database, write_text
from experiments.cli.fields import spec_from
from experiments.registry import find

EXIT_CODES = {"done": 0, "failed": 1, "crashed": 1, "lost": 1, "timeout": 3, "cancelled": 130}


def add_options(parser: ArgumentParser) -> None:
    """Adds the experiment, its fields, and where the result goes."""
    parser.add_argument("name")
    parser.add_argument(
        "fields",
        nargs="*",
        metavar="field=value",
        help="fields as printed by `show`; separate list items with commas: batch=1,32,256",
    )
    parser.add_argument("--preset", help="start from a named spec")
    parser.add_argument("--csv", metavar="FILE", help="write the rows as CSV; - prints only the CSV")
    parser.add_argument(
        "--time-limit", type=float, default=900.0, metavar="S", help="stop after S seconds (default 900)"
    )
    parser.add_argument("--no-store", action="store_true", help="do not store the run")


@uses_database
def execute(given: Namespace) -> int:
    """Runs the experiment; the exit code is that of its end state."""
    experiment = find(given.name)
    spec = spec_from(experiment, given.preset, given.fields)
    check_writable("--csv", given.csv)
    if planned := experiment.plan(spec):
        print(planned, file=sys.stderr)
    from experiments.runs import store

    if given.no_store:
        with tempfile.TemporaryDirectory(prefix="tinylab-") as folder:
            return _run(given, experiment, spec, f"sqlite:///{folder}/runs.db")
    return _run(given, experiment, spec, store.database_url())


def _run(given: Namespace, experiment: Experiment[Any], spec: Any, url: str) -> int:
    from experiments.cli.output import ProgressLine, table
    from experiments.runs import frames, jobs, remarks, store

    with ProgressLine(sys.stderr) as progress:
        run_id = jobs.run_now(experiment.name, spec, url=url, time_limit_s=given.time_limit, on_event=progress.update)
    db = store.engine(url)
    run = store.get_run(db, run_id)
    if run is None:
        return report(f"run {run_id} was deleted while it ran")
    frame = frames.rows_frame(db, run, experiment)
    code = EXIT_CODES[run["status"]]
    if given.csv:
        code = write_text("--csv", given.csv, [frames.to_csv(frame)]) or code
    if given.csv != "-":
        met = experiment.challenge.met(frame) if experiment.challenge and run["status"] == "done" else None
        solved = f"Challenge solved: {met.result} {met.explanation}" if met else ""
        parts = [table(frame, experiment), experiment.answer(frame), solved, "" if given.no_store else run_id]
        print("\n\n".join(part for part in parts if part))
    for remark in remarks.remarks(run["environment"]):
        report(remark)
    if run["status"] != "done":
        report(f"{run['status']}: {run['message']}")
    return code
