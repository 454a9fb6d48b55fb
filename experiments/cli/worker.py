"""`worker`: this host's devices, offered to a team."""

import os
from argparse import ArgumentParser, Namespace

from experiments.cli.team import add_tls_options, announce, security_for


def add_options(parser: ArgumentParser) -> None:
    """Adds the scheduler, this host's name and its devices."""
    parser.add_argument("--scheduler", required=True, metavar="ADDRESS", help="tcp://127.0.0.1:8786, tls://host:8786")
    parser.add_argument("--name", help="name of this host (default: its host name)")
    parser.add_argument("--devices", default="", metavar="A,B", help="devices to offer (default: all that work)")
    add_tls_options(parser)


def execute(given: Namespace) -> int:
    """Serves until it is ended; reconnects when the scheduler comes back."""
    security = security_for(given.scheduler, given)
    import asyncio

    from experiments.runs.team.services import serve_workers, usable

    if given.name:
        os.environ["TINYLAB_HOST"] = given.name  # the worker processes inherit it
    names = usable([name for name in given.devices.split(",") if name])
    asyncio.run(serve_workers(given.scheduler, security, names, announce))
    return 0
