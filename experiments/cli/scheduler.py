"""`scheduler`: the Dask scheduler of a team."""

from argparse import ArgumentParser, Namespace

from experiments.cli.errors import report
from experiments.cli.team import add_tls_options, announce, security_for


def add_options(parser: ArgumentParser) -> None:
    """Adds the address to listen on."""
    parser.add_argument(
        "--address", default="tcp://127.0.0.1:8786", help="must be tls:// unless it is loopback (default %(default)s)"
    )
    add_tls_options(parser)


def execute(given: Namespace) -> int:
    """Listens until it is ended."""
    security = security_for(given.address, given)
    import asyncio

    from experiments.runs.team.services import serve_scheduler

    try:
        asyncio.run(serve_scheduler(given.address, security, announce))
    except OSError as error:
        return report(f"--address: cannot listen on {given.address}: {error.strerror or error}")
    return 0
