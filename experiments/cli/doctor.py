"""`doctor`: what works on this machine, what does not, and the command that fixes it."""

import importlib.util
import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from experiments import registry
from experiments.bench.errors import BadInput
from experiments.bench.machine import devices, toolchain, variables
from experiments.bench.machine.environment import fingerprint
from experiments.runs import store, team
from experiments.runs.team import security


def add_options(_: ArgumentParser) -> None:
    """Adds no options."""


def execute(_: Namespace) -> int:
    """Prints one line per finding; returns 1 if something that every run needs is missing."""
    healthy = True
    for finding in examine():
        print(finding.line)
        healthy &= finding.works or not finding.needed
    return 0 if healthy else 1


@dataclass(frozen=True)
class Finding:
    """The result of one check; `needed`: nothing can be measured without it."""

    what: str
    works: bool
    detail: str
    needed: bool = False

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{'ok  ' if self.works else 'no  '} {self.what:<14} {self.detail}"


def examine() -> Iterator[Finding]:
    """Versions, compiler, database and every device, one after the other."""
    facts = fingerprint("CPU")
    yield Finding(
        "python", sys.version_info >= (3, 11), f"{facts['python']} on {facts['os']}, {facts['machine']}", True
    )
    yield Finding("processor", True, f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB")
    for package, needed in (("tinygrad", True), ("numpy", True), ("streamlit", False), ("plotly", False)):
        there = importlib.util.find_spec(package) is not None
        fix = "pip install -r requirements.txt"
        yield Finding(package, there, version(package) if there else f"not installed; run `{fix}`", needed)
    yield _compiler()
    yield _variables()
    yield _database()
    if address := os.environ.get("TINYLAB_SCHEDULER"):
        yield _scheduler(address)
    for path, cause in registry.broken().items():
        yield Finding("experiment", False, f"{path}: {cause}")
    probes = devices.all_probes()
    for probe in probes:
        yield Finding(f"device {probe.device}", probe.works, probe.what)
    yield _default_device([probe.device for probe in probes if probe.works])


def _default_device(usable: list[str]) -> Finding:
    """Checks the device of runs that name none: without it the check fails, even if other devices work."""
    first = devices.first_working()
    if first.works:
        return Finding("default device", True, f"runs go to {first.device} unless a device is named", needed=True)
    named = f"; until that is fixed, name another device: device={' or '.join(usable)}" if usable else ""
    return Finding("default device", False, f"{first.device}: {first.what}{named}", needed=True)


def _compiler() -> Finding:
    used = toolchain.compiler()
    if used is None:
        return Finding("C compiler", False, toolchain.NO_COMPILER)
    return Finding("C compiler", True, f"{used.version} ({used.program})")


def _variables() -> Finding:
    names = variables.set_aside()
    return Finding("variables", True, f"not passed on to runs: {', '.join(names)}" if names else "none changes a run")


def _scheduler(address: str) -> Finding:
    """The team's scheduler: address and certificates, and whether it accepts connections."""
    try:
        team.check_installed()
        security.check(address, security.Certificates.given())
        parts = urlsplit(address)
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=5).close()
    except (BadInput, OSError) as error:
        return Finding("scheduler", False, f"{address}: {error}")
    return Finding("scheduler", True, f"{address} answers")


def _database() -> Finding:
    url = store.database_url()
    try:
        db = store.engine(url)
    except store.StoreError as error:
        return Finding("database", False, str(error), needed=True)
    shown = db.url.render_as_string(hide_password=True)
    return Finding("database", True, f"{shown}, {store.count_runs(db)} runs", needed=True)
