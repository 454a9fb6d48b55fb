"""`export`: runs as bundles."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from experiments.bench.errors import BadInput
from experiments.cli.errors import report, uses_database


def add_options(parser: ArgumentParser) -> None:
    """Adds the runs, and the file or folder to write."""
    parser.add_argument("run", nargs="+")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE.zip", help="file to write; for several runs, a folder"
    )


@uses_database
def execute(given: Namespace) -> int:
    """Writes one zip file per run and prints its path."""
    from experiments.runs import bundle, store

    db, output = store.engine(store.database_url()), Path(given.output)
    if len(given.run) > 1 and not output.is_dir():
        raise BadInput(f"-o: {given.output[:200]} is not a folder; several runs need one")
    for run_id in given.run:
        file = output / f"{run_id[:60]}.zip" if output.is_dir() else output
        content = bundle.export(db, run_id)
        try:
            file.write_bytes(content)
        except OSError as error:
            return report(f"-o: {str(file)[:200]} cannot be written: {error.strerror}")
        print(file)
    return 0
