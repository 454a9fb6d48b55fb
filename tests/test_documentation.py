"""ARCHITECTURE.md and CONTRIBUTING.md name what is there, and leave no room out."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")}
NAMED = [
    pytest.param(page, path, id=f"{page} {path}")
    for page, text in PAGES.items()
    for path in sorted(set(re.findall(r"`((?:experiments|dashboard|tests|deploy)/[a-z0-9_/.]*)`", text)))
]


@pytest.mark.parametrize(("page", "path"), NAMED)
def test_a_named_path_exists(page, path):
    assert (ROOT / path).exists()


def test_every_room_is_in_the_architecture():
    rooms = {
        path.parent.relative_to(ROOT)
        for path in (ROOT / "experiments").glob("*/__init__.py")
        if path.parent.name != "examples"
    }
    assert {room.name for room in rooms if f"{room.name}/" not in PAGES["ARCHITECTURE.md"]} == set()


def test_every_floor_of_the_import_contract_is_in_the_architecture():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    floors = {name.strip().rpartition(".")[2] for layer in contract["layers"] for name in layer.split("|")}
    described = PAGES["ARCHITECTURE.md"].partition("## Floors")[2]
    assert {floor for floor in floors if floor not in described and floor != "__main__"} == set()


def test_the_words_that_a_run_is_made_of_are_explained():
    glossary = PAGES["ARCHITECTURE.md"].partition("## Words")[2]
    for word in ("experiment", "spec", "run", "row", "variant", "block", "control", "inconclusive", "recipe", "bundle"):
        assert word in glossary


def test_the_commands_to_check_a_change_are_those_of_ci():
    in_ci = (ROOT / ".ci" / "run").read_text()
    for command in ("ruff check .", "ruff format --check .", "mypy"):
        assert command in in_ci
        assert command in PAGES["CONTRIBUTING.md"]
