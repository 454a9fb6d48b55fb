"""Experiments, presets, columns, links to presets and command lines of version 0.1 are understood as they were."""

from pathlib import Path

import pytest

from tests.compatibility import internals
from tests.compatibility.old_data import DATA, RUNS, read_json

OLD = read_json("experiments.json")
COMMANDS = read_json("commands.json")
PRESET_LINKS = read_json("links.json")["presets"]
REFUSED_LAST = {"device", "output", "address", "scheduler", "run", "tls-ca"}  # what is wrong with these lines
NAMES = pytest.mark.parametrize("name", OLD)
COLUMNS = [(name, "") for name in OLD] + [(name, detail) for name, one in OLD.items() for detail in one["details"]]


def test_no_experiment_is_gone():
    assert OLD.keys() <= internals.registered().keys()


@NAMES
def test_the_defaults_of_an_experiment_are_what_they_were(name: str):
    assert OLD[name]["defaults"].items() <= internals.registered()[name].spec().model_dump(mode="json").items()


@NAMES
def test_every_preset_asks_for_what_it_did(name: str):
    experiment = internals.registered()[name]
    for preset, old in OLD[name]["presets"].items():
        assert old.items() <= experiment.preset(preset).model_dump(mode="json").items(), preset


@NAMES
def test_a_spec_that_was_stored_is_read(name: str):
    for old in OLD[name]["presets"].values():
        spec = internals.parse(internals.registered()[name].spec, old)
        assert old.items() <= spec.model_dump(mode="json").items()


@NAMES
def test_the_link_to_a_preset_is_that_preset(name: str):
    for preset, query in PRESET_LINKS[name].items():
        spec = internals.parse(internals.registered()[name].spec, query)
        assert OLD[name]["presets"][preset].items() <= spec.model_dump(mode="json").items(), preset


@pytest.mark.parametrize(("name", "detail"), COLUMNS, ids=lambda text: text or "rows")
def test_columns_keep_name_kind_unit_and_order(name: str, detail: str):
    experiment = internals.registered()[name]
    old = OLD[name]["details"][detail] if detail else OLD[name]["columns"]
    now = experiment.details[detail] if detail else experiment.columns
    known = {one[0] for one in old}
    assert [[one.name, one.kind, one.unit] for one in now if one.name in known] == old


@NAMES
def test_rows_of_one_grid_point_are_still_those(name: str):
    assert list(internals.registered()[name].grid) == OLD[name]["grid"]


def filled(arguments: list[str]) -> list[str]:
    """The arguments with ids and files in place of their names."""
    known = {name: run["id"] for name, run in RUNS.items()} | {"bundle": str(DATA / "run.zip")}
    return [one.format_map(known) if one.startswith("{") else one for one in arguments]


@pytest.mark.parametrize("arguments", COMMANDS["done"], ids=" ".join)
def test_a_command_line_does_what_it_did(
    old_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.chdir(tmp_path)
    assert internals.command_line(filled(arguments)) == 0


@pytest.mark.parametrize("arguments", COMMANDS["refused"], ids=" ".join)
def test_a_command_line_is_understood_up_to_the_part_that_is_refused(
    old_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
):
    monkeypatch.chdir(tmp_path)
    assert internals.command_line(arguments) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.split(":")[0].lstrip("-") in REFUSED_LAST


@NAMES
def test_every_preset_is_known_to_the_command_line(url: str, name: str, capsys: pytest.CaptureFixture[str]):
    for preset in OLD[name]["presets"]:
        assert internals.command_line(["run", name, "--preset", preset, "device=?"]) == 2
        assert capsys.readouterr().err.startswith("device:")
