"""`show`: the fields, presets and columns of one experiment."""

from argparse import ArgumentParser, Namespace

from experiments.bench.spec import fields
from experiments.registry import find


def add_options(parser: ArgumentParser) -> None:
    """Adds the name of the experiment."""
    parser.add_argument("name")


def execute(given: Namespace) -> int:
    """Prints question, description, fields, presets, challenge and columns."""
    one = find(given.name)
    print(f"{one.title}: {one.question}\nCompares {one.compares}\n\n{one.description}\n\nFields")
    for info in fields(one.spec).values():
        print(f"  {info.name}={info.default}\n      {info.title}: {info.description}\n      {info.allowed}")
    print("\nPresets")
    defaults = one.spec()
    for name, preset in one.presets.items():
        changed = [f"{key}={preset.text(key)}" for key in fields(one.spec) if preset.text(key) != defaults.text(key)]
        print(f"  {name:<14} {' '.join(changed) or '(the defaults)'}")
        if planned := one.plan(preset):
            print(f"  {'':<14} {planned}")
    if one.challenge:
        print(f"\nChallenge\n  {one.challenge.goal}")
    print("\nColumns")
    for column in one.columns:
        print(f"  {column.name:<18} {f'[{column.unit}]' if column.unit else '':<10} {column.description}")
    return 0
