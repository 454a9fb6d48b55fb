"""`list`: the experiments and their questions."""

from argparse import ArgumentParser, Namespace

from experiments.registry import registered


def add_options(_: ArgumentParser) -> None:
    """Adds no options."""


def execute(_: Namespace) -> int:
    """Prints one line per experiment."""
    for one in registered().values():
        print(f"{one.name:<16} {one.section:<12} {one.question}")
    return 0
