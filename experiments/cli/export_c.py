"""`export-c`: a trained network as one C program, in a zip."""

import subprocess
import sys
from argparse import ArgumentParser, Namespace

from experiments.bench.spec import parse
from experiments.cli.errors import check_writable, report
from experiments.cli.fields import assigned


def add_options(parser: ArgumentParser) -> None:
    """Adds the network's fields and the zip file to write."""
    parser.add_argument(
        "fields", nargs="*", metavar="field=value", help="fields as printed by `show edge`: network=mlp width=0.5 …"
    )
    parser.add_argument(
        "-o", "--output", default="model.zip", metavar="FILE", help="zip file to write (default model.zip)"
    )


def execute(given: Namespace) -> int:
    """Builds the program in a separate process; returns its exit code."""
    from experiments.bench.machine.toolchain import NO_COMPILER, child_environment, compiler
    from experiments.export_c.spec import ExportSpec

    choice = parse(ExportSpec, assigned(ExportSpec, given.fields))
    check_writable("--output", given.output)
    if compiler() is None:
        return report(NO_COMPILER)
    command = [sys.executable, "-m", "experiments.export_c.export", choice.model_dump_json(), given.output]
    return subprocess.run(command, env=child_environment("CPU"), check=False).returncode
