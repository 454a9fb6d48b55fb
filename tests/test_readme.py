"""The README is run: its examples, its table of experiments, its experiment of one's own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiments.registry import registered

ROOT = Path(__file__).parent.parent
PARTS = {"Compiler": "1", "Compression": "2", "Deployment": "3", "Machine": ""}  # of the course
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(marker: str) -> list[tuple[str, str]]:
    """(argument of the marker, code) of every code block behind `<!-- marker … -->`."""
    return re.findall(rf"<!-- {marker}(?:: (\S+))? -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLAB_DATABASE", f"sqlite:///{tmp_path}/runs.db")
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_start_command_and_the_test_command_are_one_line_each():
    for marker in ("start", "test"):
        ((_, command),) = blocks(marker)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -r requirements")
        assert command.count("\n") == 1


def test_the_table_names_every_experiment_its_part_of_the_course_its_question_and_what_it_compares():
    table = re.search(r"<!-- experiments.*?-->\n(.*?)<!-- end -->", README, re.DOTALL)[1]
    rows = [
        f"| `{one.name}` | {PARTS[one.section]} | {one.question} | {one.compares} |" for one in registered().values()
    ]
    assert table.strip().splitlines()[2:] == rows


def test_it_is_short_and_its_pictures_are_there():
    assert README.count("\n") < 250
    pictures = re.findall(r'src(?:set)?="([^"]+)"', README)
    assert len(pictures) == 2
    assert all((ROOT / picture).is_file() for picture in pictures)


@pytest.mark.slow
def test_the_python_example_runs_as_it_stands(home):
    ((_, code),) = blocks("python-call")
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert "jit" in done.stdout
    assert "True" in done.stdout


@pytest.fixture
def own_experiment(home, monkeypatch):
    """The README's experiment and figure, written to a folder that the lab is told of."""
    folder = home / "own"
    folder.mkdir()
    for name, code in blocks("file"):
        (folder / name).write_text(code, encoding="utf-8")
    monkeypatch.setenv("TINYLAB_EXPERIMENTS", str(folder))
    return folder


def test_the_readmes_experiment_is_listed_runs_and_fills_its_csv(own_experiment):
    assert "cube             Compiler     Is x**3 slower than x*x*x?" in run("-m", "experiments", "list").stdout
    csv = own_experiment / "cube.csv"
    done = run("-m", "experiments", "run", "cube", "--preset", "quick", "--csv", str(csv))
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(csv)
    assert frame["variant"].tolist() == ["product", "power"]
    assert set(frame["verdict"]) <= {"baseline", "faster", "slower", "cannot tell"}
    assert (frame["max_abs_error"] < 1e-5).all()


PAGE = """
import json, sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_string("from dashboard.pages.experiment import show; show('cube')", default_timeout=60)
page.query_params["run"] = sys.argv[1]
page.run()
figures = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
print(json.dumps({
    "errors": [one.value for one in page.exception] + [one.value for one in page.error],
    "title": page.title[0].value,
    "inputs": [one.label for one in page.text_input],
    "axes": [figure["layout"]["yaxis"]["title"]["text"] for figure in figures],
    "tables": [list(one.value["variant"]) for one in page.dataframe],
}))
"""


def test_the_readmes_experiment_has_its_page_form_figure_and_table(own_experiment):
    done = run("-m", "experiments", "run", "cube", "--preset", "quick")
    run_id = done.stdout.strip().splitlines()[-1]
    page = run("-c", PAGE, run_id)
    assert page.returncode == 0, page.stderr
    seen = json.loads(page.stdout.strip().splitlines()[-1])
    assert seen["errors"] == []
    assert seen["title"] == "Cube"
    assert "Elements" in seen["inputs"]
    assert seen["axes"] == ["Latency of one call [ms]"]
    assert seen["tables"] == [["product", "power"]]
