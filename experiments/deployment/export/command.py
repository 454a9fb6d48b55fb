"""Writes the zip of a choice: what `python -m experiments export-c` carries out in a process of its own.

`python -m experiments.deployment.export.command CHOICE FILE`, where CHOICE is the JSON of a ChoiceSpec.
"""

import sys
from pathlib import Path

from experiments.deployment.export.choice import ChoiceSpec


def main(choice_json: str, file: str) -> int:
    """Exit status 0, or 1 with one line on standard error."""
    from experiments.deployment.export.exported import DEVICE, Exported
    from experiments.deployment.export.model import steps
    from experiments.deployment.export.program import NotExportable
    from experiments.models.datasets import mnist

    choice = ChoiceSpec.model_validate_json(choice_json)
    images = mnist().test.images
    try:
        last = steps(choice, DEVICE, lambda _, message: _say(message))[-1]
        made = Exported.of(last, choice.label, images[0])
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
