"""Links of version 0.1 open: runs, forms, comparisons. So do the carried bundles and an experiment of one's own."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import experiments
from tests.compatibility import internals
from tests.compatibility.old_data import DATA, FRAMES, RUNS, read_json

LINKS = read_json("links.json")
EXAMPLES = sorted(internals.EXAMPLES.glob("*.zip"))
WITHOUT_ROWS = {"queued", "running"}

pytestmark = pytest.mark.usefixtures("no_measuring")


def tables(page: AppTest) -> list[Any]:
    return [table.value for table in page.dataframe]


def shows(page: AppTest, rows: list[dict[str, Any]]) -> bool:
    """Whether a table of the page has these rows, by their variants."""
    variants = [internals.label_of(row["variant"]) for row in rows]
    return any("variant" in table and table["variant"].tolist() == variants for table in tables(page))


@pytest.mark.parametrize("name", LINKS["runs"])
def test_the_link_to_a_run_shows_it_with_its_rows(old_database: Path, name: str):
    address, parameters = LINKS["runs"][name]
    page = internals.open_page(address, parameters)
    run = RUNS[name]
    assert not page.exception
    assert page.query_params == parameters
    rows = list(csv.DictReader(io.StringIO(FRAMES[run["id"]]["rows"])))
    assert shows(page, rows) == bool(rows)
    assert len(page.error) == (0 if run["status"] in ("done", "queued") else 1)


@pytest.mark.parametrize("address", LINKS["forms"])
def test_the_link_to_a_filled_form_fills_it(url: str, address: str):
    page = internals.open_page(address, LINKS["forms"][address])
    assert not page.exception
    assert not page.error
    widgets = [*page.text_input, *page.number_input, *page.selectbox, *page.toggle, *page.get("multiselect")]
    held = {internals.field_of(str(widget.key), address): widget.value for widget in widgets}
    for name, text in LINKS["forms"][address].items():
        value = held[name]
        shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        assert text in (shown, shown.lower()) or float(shown) == float(text)


@pytest.mark.parametrize("parameters", LINKS["comparisons"], ids=lambda one: f"{one['x']}-{one['y']}")
def test_the_link_to_a_comparison_draws_its_axes(old_database: Path, parameters: dict[str, str]):
    page = internals.open_page("compare", parameters)
    assert not page.exception
    assert not page.error
    assert page.query_params == parameters
    assert len(page.get("plotly_chart"))


@pytest.mark.parametrize("address", ["overview", "runs", "compare", "devices", "method"])
def test_the_other_pages_open_on_the_old_database(old_database: Path, address: str):
    page = internals.open_page(address, {})
    assert not page.exception
    assert not page.error


def test_the_page_of_runs_lists_them(old_database: Path):
    page = internals.open_page("runs", {})
    keys = {str(box.key) for box in page.checkbox}
    assert {f"tick-{run['id']}" for run in RUNS.values()} <= keys


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_carried_bundle_is_imported_and_its_page_shows_it(url: str, path: Path):
    experiment, _, run_id = path.stem.rsplit("-", 2)
    assert internals.command_line(["import", str(path)]) == 0
    page = internals.open_page(experiment, {"run": run_id})
    assert not page.exception
    assert not page.error
    assert shows(page, experiments.frame(run_id).to_dict("records"))


def test_an_experiment_of_ones_own_still_runs_and_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "own"
    folder.mkdir()
    for file in (DATA / "own").glob("*.py.txt"):
        shutil.copy(file, folder / file.stem)
    monkeypatch.setenv("TINYLAB_EXPERIMENTS", str(folder))
    internals.forget_experiments()
    try:
        assert internals.command_line(["run", "cube", "elements=64", "budget_s=0.1", "device=CPU"]) == 0
        run_id = capsys.readouterr().out.split()[-1]
        page = internals.open_page("cube", {"run": run_id})
        assert not page.exception
        assert not page.error
        assert len(page.get("plotly_chart"))
    finally:
        internals.forget_experiments()
