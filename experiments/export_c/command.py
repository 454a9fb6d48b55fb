"""Writes the zip of a choice: what `python -m experiments export-c` carries out in a process of its own.

`python -m experiments.export_c.command CHOICE FILE`, where CHOICE is the JSON of an ExportSpec.
"""

import sys
from pathlib import Path

from experiments.export_c.spec import ExportSpec


def main(choice_json: str, file: str) -> int:
    """Exit status 0, or 1 with one line on standard error."""
    from experiments.bench.tinygrad.c_program import NotExportable
    from experiments.export_c.exported import DEVICE, ExportedProgram
    from experiments.export_c.steps import steps
    from experiments.models.data.mnist import mnist

    choice = ExportSpec.model_validate_json(choice_json)
    images = mnist().test.images
    try:
        last = steps(choice, DEVICE, lambda _, message: _say(message))[-1]
        made = ExportedProgram.of(last, choice.label, images[0])
    except (NotExportable, ValueError) as refused:
        _say(str(refused))
        return 1
    content = made.zip(choice, last, images)
    Path(file).write_bytes(content)
    _say(
        f"{made.title}: {last.accuracy:.2%} of the test images; model.c has {len(made.texts['model.c']):,} bytes, "
        f"its constants {made.program.weights_bytes:,}, its arena {made.program.arena_bytes:,}"
    )
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
