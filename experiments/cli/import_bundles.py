"""`import`: stores the runs of bundles in this database."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from experiments.bench.errors import BadInput
from experiments.cli.errors import report, uses_database


def add_options(parser: ArgumentParser) -> None:
    """Adds the bundles and their largest size."""
    parser.add_argument("file", nargs="+")
    parser.add_argument(
        "--max-mb",
        "--most-mb",
        type=int,
        default=64,
        metavar="MB",
        help="largest unpacked size (default 64 MB)",
    )


@uses_database
def execute(given: Namespace) -> int:
    """Imports each file completely or not at all; prints the run id, or why the file was refused."""
    from experiments.runs import bundle, store

    db, code = store.engine(store.database_url()), 0
    for name in given.file:
        try:
            run_id, new = bundle.import_run(db, Path(name).read_bytes(), given.max_mb * 2**20)
        except OSError as error:
            code = report(f"{name[:200]}: cannot be read: {error.strerror}")
        except BadInput as refused:
            code = report(f"{name[:200]}: {refused}")
        else:
            print(run_id if new else f"{run_id} already exists; nothing was changed")
    return code
