"""`runs`: stored runs as a list, or their rows and samples as CSV."""

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from experiments.cli.errors import check_writable, uses_database, write_text

FILTERS = ("experiment", "device", "host", "status", "text")


def add_options(parser: ArgumentParser) -> None:
    """Adds the filters, and where the CSV goes."""
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="list at most N runs (default 20)")
    for name in FILTERS:
        parser.add_argument(f"--{name}", default="", help=f"only runs with this {name}")
    parser.add_argument(
        "--csv", metavar="FILE", help="write the rows of all matching runs as CSV; - is standard output"
    )
    parser.add_argument("--samples", metavar="FILE", help="write the raw timings of all matching runs as CSV")


@uses_database
def execute(given: Namespace) -> int:
    """Prints one line per run, newest first, or writes the CSV files."""
    from experiments.runs import bulk_export, store

    check_writable("--csv", given.csv)
    check_writable("--samples", given.samples)
    db = store.engine(store.database_url())
    wanted = {name: getattr(given, name) for name in FILTERS}
    if given.csv or given.samples:
        code = write_text("--csv", given.csv, bulk_export.rows_csv(db, **wanted)) if given.csv else 0
        if code or not given.samples:
            return code
        return write_text("--samples", given.samples, bulk_export.samples_csv(db, **wanted))
    found = store.list_runs(db, limit=max(1, given.limit), **wanted)
    for run in found:
        print(_line(run))
    if not found:
        filtered = any(wanted.values())
        print("no run matches" if filtered else "no runs yet; try: python -m experiments run jit --preset quick",
              file=sys.stderr)  # fmt: skip
    return 0


def _line(run: Any) -> str:
    from experiments.runs.clock import format_time

    message = run["message"] if run["status"] != "done" else ""
    tags = run["tags"] and f"[{run['tags']}]"
    line = f"{run['id']}  {format_time(run['created'])}  {run['experiment']:<14} {run['device']:<8} {run['status']:<10}"
    return " ".join((line, *filter(None, (message, run["title"], tags)))).rstrip()
