"""ARCHITECTURE.md and CONTRIBUTING.md name existing files, every package and every layer."""

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


def test_every_package_is_in_the_architecture():
    packages = {
        path.parent.relative_to(ROOT)
        for path in (ROOT / "experiments").glob("*/__init__.py")
        if path.parent.name != "examples"
    }
    assert {one.name for one in packages if f"{one.name}/" not in PAGES["ARCHITECTURE.md"]} == set()


def test_every_layer_of_the_import_contract_is_in_the_architecture():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = {name.strip().rpartition(".")[2] for line in contract["layers"] for name in line.split("|")}
    described = PAGES["ARCHITECTURE.md"].partition("## Layers")[2]
    assert {layer for layer in layers if layer not in described and layer != "__main__"} == set()


def test_every_spec_that_lists_networks_is_named_where_a_network_is_added():
    files = {
        path.relative_to(ROOT)
        for path in (ROOT / "experiments").rglob("*.py")
        if re.search(r"^    network: Literal\[", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    recipe = re.search(r"- \*\*A network\*\*.*?\n- ", PAGES["CONTRIBUTING.md"], re.DOTALL)[0]
    assert {path for path in files if path.parent.name not in recipe} == set()


def test_the_words_that_a_run_is_made_of_are_explained():
    glossary = PAGES["ARCHITECTURE.md"].partition("## Words")[2]
    for word in ("experiment", "spec", "run", "row", "variant", "block", "control", "inconclusive", "recipe", "bundle"):
        assert word in glossary


def test_the_commands_to_check_a_change_are_those_of_ci():
    in_ci = (ROOT / ".ci" / "run").read_text()
    for command in ("ruff check .", "ruff format --check .", "mypy"):
        assert command in in_ci
        assert command in PAGES["CONTRIBUTING.md"]
