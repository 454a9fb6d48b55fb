"""User-defined experiments are found in the folders of TINYLAB_EXPERIMENTS; a broken file affects no other."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import registry

GOOD = """
from collections.abc import Iterator
from experiments.bench.session import Bench
from experiments.bench.rows import Row
from experiments.bench.spec import Spec, experiment
from pydantic import Field

class OwnSpec(Spec):
    rows: int = Field(1, ge=0, le=9, title="Rows", description="how many")

@experiment(section="Compiler", title="Own", question="Is it found?", spec=OwnSpec, presets={{}}, grid=(),
            columns=["latency_ms"], summary=("variant",), answer=lambda frame: "")
def {name}(spec: OwnSpec, bench: Bench) -> Iterator[Row]:
    yield Row({{"variant": "own"}})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for user-defined experiments, to be filled before the first scan."""
    made = tmp_path / "own"
    made.mkdir()
    monkeypatch.setenv(registry.FOLDERS, str(made))
    registry.forget()
    yield made
    registry.forget()


def test_a_file_in_the_folder_is_an_experiment_like_the_others(folder: Path) -> None:
    (folder / "mine.py").write_text(GOOD.format(name="mine"))
    assert registry.find("mine").question == "Is it found?"
    assert "jit" in registry.registered()
    assert registry.broken() == {}


def test_underscored_and_figure_files_are_left_alone(folder: Path) -> None:
    for name in ("_helper.py", "mine_figures.py", "notes.txt"):
        (folder / name).write_text("raise RuntimeError('imported')")
    assert registry.broken() == {}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise ValueError('one line\\nand more')", "ValueError: one line"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (GOOD.format(name="jit"), "ValueError: two experiments are called jit"),
    ],
)
def test_a_file_that_cannot_be_imported_is_skipped_and_reported(folder: Path, text: str, cause: str) -> None:
    (folder / "bad.py").write_text(text)
    (folder / "mine.py").write_text(GOOD.format(name="mine"))
    assert "mine" in registry.registered()
    assert list(registry.broken()) == [str(folder / "bad.py")]
    assert registry.broken()[str(folder / "bad.py")].startswith(cause)


def test_files_of_one_name_in_two_folders_do_not_hide_one_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder / "mine.py").write_text(GOOD.format(name="first"))
    (other / "mine.py").write_text(GOOD.format(name="second"))
    monkeypatch.setenv(registry.FOLDERS, os.pathsep.join([str(folder), str(other)]))
    assert {"first", "second"} <= set(registry.registered())


def test_a_missing_folder_is_reported(folder: Path) -> None:
    folder.rmdir()
    assert registry.broken() == {str(folder): "not a folder; TINYLAB_EXPERIMENTS names it"}
