"""Exit codes, one-line errors, and output files; imports nothing heavy."""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from experiments.bench.errors import BadInput

BAD_ARGUMENTS, INTERRUPTED = 2, 130

CommandFunction = Callable[[argparse.Namespace], int]


def report(*lines: str) -> int:
    """Prints lines to standard error; returns the exit code of bad input."""
    for line in lines:
        print(line, file=sys.stderr)
    return BAD_ARGUMENTS


def uses_database(execute: CommandFunction) -> CommandFunction:
    """Decorates a command that uses the database: a database error becomes one line."""

    @functools.wraps(execute)
    def guarded(given: argparse.Namespace) -> int:
        from experiments.runs.store import StoreError

        try:
            return execute(given)
        except StoreError as error:
            return report(str(error))

    return guarded


def check_writable(option: str, name: str | None) -> None:
    """Raises BadInput for a file that cannot be written, before the work that fills it."""
    path = Path(name or "-").absolute()
    if name and name != "-" and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise BadInput(f"{option}: {name[:200]} cannot be written: its folder does not exist or is not writable")
    if name and name != "-" and path.is_dir():
        raise BadInput(f"{option}: {name[:200]} is a folder; give a file")


def write_text(option: str, name: str, parts: Iterable[str]) -> int:
    """Writes text to a file, or to standard output for `-`; returns the exit code."""
    try:
        if name == "-":
            sys.stdout.writelines(parts)
            return 0
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
    except BrokenPipeError:
        raise
    except OSError as error:
        return report(f"{option}: {name[:200]} cannot be written: {error.strerror}")
    return 0
