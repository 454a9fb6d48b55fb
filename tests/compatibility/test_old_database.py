"""A database of version 0.1 opens, and everything in it reads back as version 0.1 read it."""

import csv
import hashlib
import io
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import experiments
from experiments.models.packing import unpack  # documented under this name
from tests.compatibility import internals
from tests.compatibility.old_data import DATA, FRAMES, RUNS

NAMES = pytest.mark.parametrize("name", RUNS)
STATES = {"done", "failed", "cancelled", "timeout", "crashed", "lost", "queued"}
SAMPLE = ("row", "variant", "kind", "inner", "block", "seconds")
FIELDS = set(RUNS["jit"]) - {"rows", "files"}  # of a run itself
CARRIED = FIELDS - {"cancel", "imported"}  # of these what a bundle has
Records = list[dict[str, str]]


def records(text: str) -> Records:
    return list(csv.DictReader(io.StringIO(text)))


def old_columns(new: str, old: str) -> Records:
    """The records of `new`, with the columns of `old` alone."""
    names = next(csv.reader(io.StringIO(old)))
    return [{name: record[name] for name in names} for record in records(new)]


def samples(capsys: pytest.CaptureFixture[str]) -> dict[str, list[tuple[str, ...]]]:
    """The samples of all runs in the database in use, by run."""
    capsys.readouterr()
    assert internals.command_line(["runs", "--samples", "-"]) == 0
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for record in records(capsys.readouterr().out):
        found[record["run_id"]].append(tuple(record[name] for name in SAMPLE))
    return found


def old_samples(run_id: str) -> list[tuple[str, ...]]:
    return [tuple(record[name] for name in SAMPLE) for record in records(FRAMES[run_id]["samples"])]


def kept(name: str) -> dict[str, Any]:
    """What the database in use holds of a run and a bundle carries, but for the samples."""
    run_id = RUNS[name]["id"]
    details = FRAMES[run_id]["details"]
    return {
        "run": {field: value for field, value in internals.run_of(run_id).items() if field in CARRIED},
        "rows": internals.to_csv(experiments.frame(run_id)),
        "details": {name: internals.to_csv(experiments.detail(run_id, name)) for name in details},
        "files": internals.files_of(run_id),
    }


def test_every_state_of_a_run_is_in_the_data():
    assert {run["status"] for run in RUNS.values()} == STATES
    assert any(run["imported"] for run in RUNS.values())


def test_the_list_of_runs_names_all_with_their_states(old_database: Path, capsys: pytest.CaptureFixture[str]):
    assert internals.command_line(["runs", "--limit", "100"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {run["id"] for run in RUNS.values()}
    for run in RUNS.values():
        assert {run["experiment"], run["device"], run["status"]} <= set(lines[run["id"]].split())


@pytest.mark.parametrize("status", sorted(STATES))
def test_runs_are_found_by_their_state(old_database: Path, capsys: pytest.CaptureFixture[str], status: str):
    assert internals.command_line(["runs", "--limit", "100", "--status", status]) == 0
    found = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert found == {run["id"] for run in RUNS.values() if run["status"] == status}


def test_title_note_tags_and_owner_are_found_by_text(old_database: Path, capsys: pytest.CaptureFixture[str]):
    assert internals.command_line(["runs", "--text", "paper"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [RUNS["jit"]["id"]]


@NAMES
def test_state_times_machine_and_title_of_a_run_are_what_they_were(old_database: Path, name: str):
    stored = internals.run_of(RUNS[name]["id"])
    assert {field: stored[field] for field in FIELDS} == {field: RUNS[name][field] for field in FIELDS}


@NAMES
def test_the_rows_of_a_run_are_what_they_were(old_database: Path, name: str):
    run_id = RUNS[name]["id"]
    old = FRAMES[run_id]["rows"]
    assert old_columns(internals.to_csv(experiments.frame(run_id)), old) == records(old)
    assert len(records(old)) == RUNS[name]["rows"]


@NAMES
def test_the_details_of_a_run_are_what_they_were(old_database: Path, name: str):
    run_id = RUNS[name]["id"]
    for detail, old in FRAMES[run_id]["details"].items():
        assert old_columns(internals.to_csv(experiments.detail(run_id, detail)), old) == records(old), detail


def test_the_samples_of_all_runs_are_what_they_were(old_database: Path, capsys: pytest.CaptureFixture[str]):
    found = samples(capsys)
    for run in RUNS.values():
        assert found[run["id"]] == old_samples(run["id"])


def test_the_rows_of_all_runs_are_written_as_one_csv(old_database: Path, capsys: pytest.CaptureFixture[str]):
    assert internals.command_line(["runs", "--csv", "-"]) == 0
    count: dict[str, int] = defaultdict(int)
    for record in records(capsys.readouterr().out):
        count[record["run_id"]] += 1
    assert count == {run["id"]: run["rows"] for run in RUNS.values() if run["rows"]}


@NAMES
def test_the_files_of_a_run_are_what_they_were(old_database: Path, name: str):
    found = internals.files_of(RUNS[name]["id"])
    assert {file: hashlib.sha256(content).hexdigest() for file, content in found.items()} == RUNS[name]["files"]


@pytest.mark.parametrize("name", ["quantization", "tradeoffs"])
def test_the_model_files_of_a_run_are_restored(old_database: Path, name: str):
    files = internals.files_of(RUNS[name]["id"])
    models = {file: unpack(content) for file, content in files.items() if file.endswith(".tinylab")}
    assert len(models) >= 3
    assert {model.network.name for model in models.values()} == {"mlp"}


@NAMES
def test_a_run_goes_to_another_database_unchanged(
    old_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
):
    run_id, file = RUNS[name]["id"], tmp_path / "run.zip"
    before = kept(name)
    if RUNS[name]["status"] == "queued":  # only what has ended can be a bundle
        assert internals.command_line(["export", run_id, "-o", str(file)]) == 2
        return
    assert internals.command_line(["export", run_id, "-o", str(file)]) == 0
    monkeypatch.setenv("TINYLAB_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert internals.command_line(["import", str(file)]) == 0
    assert capsys.readouterr().out.split()[-1] == run_id
    assert kept(name) == before
    assert samples(capsys)[run_id] == old_samples(run_id)
    assert internals.run_of(run_id)["imported"]


def test_a_bundle_that_version_0_1_exported_is_imported(url: str, capsys: pytest.CaptureFixture[str]):
    run = RUNS["fusion"]
    assert internals.command_line(["import", str(DATA / "run.zip")]) == 0
    assert capsys.readouterr().out.strip() == run["id"]
    old = FRAMES[run["id"]]["rows"]
    assert old_columns(internals.to_csv(experiments.frame(run["id"])), old) == records(old)


def test_reading_leaves_what_is_stored_as_it_is(old_database: Path):
    def stored() -> dict[str, list[Any]]:
        with closing(sqlite3.connect(old_database)) as connection:
            tables = {"runs": runs, **dict.fromkeys(("rows", "samples", "details", "artifacts", "run_artifacts"), "*")}
            return {name: connection.execute(f"SELECT {what} FROM {name}").fetchall() for name, what in tables.items()}  # noqa: S608

    with closing(sqlite3.connect(old_database)) as connection:  # an upgrade may add columns
        runs = ", ".join(column[1] for column in connection.execute("PRAGMA table_info(runs)"))
    before = stored()
    for run in RUNS.values():
        experiments.frame(run["id"])
    assert stored() == before
