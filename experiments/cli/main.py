"""The experiments on the command line."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from experiments.bench.errors import BadInput
from experiments.cli.errors import BAD_ARGUMENTS, INTERRUPTED, report

COMMANDS = {  # name: its module in this package, and its line of help
    "list": ("list", "list the experiments and their questions"),
    "show": ("show", "show the fields, presets and columns of one experiment"),
    "run": ("run", "run one experiment; print its table and the run id"),
    "runs": ("runs", "list the newest runs, or write the rows and samples of all matching runs as CSV"),
    "export": ("export", "write runs as bundles: zip files that another database can import"),
    "import": ("import_bundles", "store the runs of bundles, marked as imported"),
    "scheduler": ("scheduler", "for a team: start the scheduler that workers and apps connect to (Dask)"),
    "worker": ("worker", "for a team: offer this host's devices, one worker process per device (Dask)"),
    "cancel": ("cancel", "cancel a queued or running run"),
    "export-c": ("export_c", "write a trained network as one C program, in a zip"),
    "serve": ("serve", "serve a model over HTTP on this machine until Ctrl-C"),
    "doctor": ("doctor", "check this machine: what works, what does not, and how to fix it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    given = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(given.execute(given))
    except BadInput as refused:
        return report(*refused.problems)
    except BrokenPipeError:  # the reader has ended, as in `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


class _OneLineParser(argparse.ArgumentParser):
    """Reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_ARGUMENTS, f"{message}; see `{self.prog} --help`\n")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed arguments, with the command's function as `execute`.

    `field=value` may stand before or after the options, which argparse alone does not allow.
    """
    parser = _parser(next((one for one in arguments if not one.startswith("-")), ""))
    given, rest = parser.parse_known_args(arguments)
    if unknown := [one for one in rest if one.startswith("-") or not hasattr(given, "fields")]:
        parser.error(f"{unknown[0][:60]}: not understood")
    if rest:
        given.fields += rest
    return given


def _parser(command: str) -> argparse.ArgumentParser:
    """A parser with all commands, and with the options of `command` alone."""
    parser = _OneLineParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module_name, text) in COMMANDS.items():
        options = commands.add_parser(name, help=text, description=text)
        if name == command:
            module = importlib.import_module(f"experiments.cli.{module_name}")
            module.add_options(options)
            options.set_defaults(execute=module.execute)
    return parser


def interrupt_on_termination() -> None:
    """Makes SIGTERM and SIGHUP cancel a run as Ctrl-C does, unless they are ignored, as under nohup."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
