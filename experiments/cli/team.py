"""What `scheduler` and `worker` share: TLS options, checked before anything listens or connects."""

from argparse import ArgumentParser, Namespace
from typing import Any


def add_tls_options(parser: ArgumentParser) -> None:
    """Adds the certificate files; where an option is not given, its environment variable is used."""
    for part, text in (("ca", "trusted certificates"), ("cert", "certificate of this process"), ("key", "its key")):
        parser.add_argument(f"--tls-{part}", metavar="FILE", help=f"{text} (or TINYLAB_TLS_{part.upper()})")


def security_for(address: str, given: Namespace) -> Any:
    """Dask's TLS settings for an address; raises BadInput for one that is open to the network without TLS."""
    from experiments.runs import team
    from experiments.runs.team.security import Certificates, check, secured

    certificates = Certificates.given(given.tls_ca, given.tls_cert, given.tls_key)
    check(address, certificates)
    team.check_installed()
    return secured(address, certificates)


def announce(line: str) -> None:
    """Prints a line at once, for a log that is being followed."""
    print(line, flush=True)
