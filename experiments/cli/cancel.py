"""`cancel`: end a queued or running run."""

from argparse import ArgumentParser, Namespace

from experiments.cli.errors import report, uses_database


def add_options(parser: ArgumentParser) -> None:
    """Adds the id of the run."""
    parser.add_argument("run")


@uses_database
def execute(given: Namespace) -> int:
    """Requests the cancellation; the runner ends a running run within a second."""
    from experiments.runs import store

    if store.request_cancel(store.engine(store.database_url()), given.run):
        return 0
    return report(f"run: {given.run[:60]} is not waiting or running; `python -m experiments runs` lists the runs")
