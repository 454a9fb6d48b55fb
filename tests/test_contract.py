"""What holds for everything registered, and for the house as a whole."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import experiments
from experiments.bench.columns import COMMON, IDENTITY, UNITS
from experiments.bench.spec import MeasuredSpec, fields
from experiments.registry import registered

ROOT = Path(__file__).parents[1]
MODULES = [path for package in ("dashboard", "experiments") for path in sorted((ROOT / package).rglob("*.py"))]
EXPERIMENTS = [pytest.param(one, id=name) for name, one in registered().items()]


def all_columns(one):
    return [*one.columns, *(column for columns in one.details.values() for column in columns)]


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_it_asks_a_question(one):
    assert one.question.endswith("?")
    assert "\n" not in one.question
    assert one.title


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_it_names_what_it_compares_in_a_few_words(one):
    assert 0 < len(one.compares) < 90
    assert not one.compares.endswith(".")


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_its_description_names_what_it_measures_what_it_does_not_and_its_source(one):
    assert "not measured" in one.description.lower()
    assert "Source:" in one.description


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_every_column_is_described(one):
    assert all(column.description for column in all_columns(one))


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_a_description_does_not_continue_its_name(one):
    """`show`, the CSV's documentation and the Method page print it without a title: not `seed: of the training`."""
    described = {column.name: column.description for column in all_columns(one)}
    described |= {name: field.description for name, field in fields(one.spec).items()}
    continues = ("of ", "on ", "to ", "that ", "during ", "by ", "for ", "from ", "with ", "in ", "its ", "it ")
    assert {name: text for name, text in described.items() if text.startswith(continues)} == {}


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_a_column_with_the_ending_of_a_unit_is_a_number_with_that_unit(one):
    for column in all_columns(one):
        if any(column.name.endswith(end) for end in UNITS):
            assert column.unit, column.name
            assert column.kind in ("number", "integer"), column.name


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_names_of_columns_are_snake_case(one):
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column.name) for column in all_columns(one))


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_a_common_name_has_its_common_meaning(one):
    for column in one.columns:
        assert COMMON.get(column.name, column) is column


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_summary_and_grid_are_columns(one):
    names = {column.name for column in (*IDENTITY, *one.columns)}
    assert set(one.summary) <= names
    assert set(one.grid) <= names


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_every_field_has_a_title_a_description_and_limits(one):
    for info in fields(one.spec).values():
        assert info.title, info.name
        assert info.description, info.name
        if info.kind in ("integer", "number"):
            assert info.low is not None, info.name
            assert info.high is not None, info.name
        if info.is_list:
            assert info.max_items, info.name


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_the_presets_validate_and_one_is_quick(one):
    assert "quick" in one.presets
    assert len(one.presets) > 1
    for preset in one.presets.values():
        assert one.spec.model_validate(preset.model_dump()) == preset


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_the_quick_preset_is_quicker_than_the_default(one):
    quick, default = one.presets["quick"], one.spec()
    if isinstance(default, MeasuredSpec):
        assert quick.budget_s < default.budget_s
    assert quick != default


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_what_is_timed_is_checked_against_a_control(one):
    names = {column.name for column in one.columns}
    if "speedup" in names:
        assert names >= {"speedup_lo", "speedup_hi", "control_lo", "control_hi", "baseline", "verdict", "samples"}


@pytest.mark.parametrize("one", EXPERIMENTS)
def test_the_answer_to_no_rows_is_empty(one):
    assert one.answer(pd.DataFrame(columns=[column.name for column in (*IDENTITY, *one.columns)])) == ""


def test_the_version_that_hosts_compare_is_the_projects():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == experiments.__version__


@pytest.mark.slow
def test_without_a_team_nothing_of_it_is_needed():
    code = """
import sys
for name in ("distributed", "dask", "psycopg", "authlib"):
    sys.modules[name] = None  # as if it were not installed
from streamlit.testing.v1 import AppTest
from experiments.cli.main import main
assert main(["list"]) == 0
assert main(["runs"]) == 0
page = AppTest.from_file("streamlit_app.py", default_timeout=60).run()
assert not page.exception and not page.error, (page.exception, page.error)
"""
    none = {name: value for name, value in os.environ.items() if name != "TINYLAB_SCHEDULER"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=none, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_registry_loads_nothing_heavy():
    code = "import json, sys, experiments.registry as r; r.registered(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"tinygrad", "numpy", "pandas", "streamlit", "plotly", "sqlalchemy", "ziglang", "asyncio", "safetensors"}
    assert not {*heavy, "psutil", "subprocess"} & set(json.loads(done.stdout))


def test_arrows_go_one_way():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "0 broken" in done.stdout


def test_no_experiment_names_streamlit_or_plotly_in_an_import():
    importing = re.compile(r"^\s*(import|from)\s+(streamlit|plotly)\b", re.MULTILINE)
    own = [path for path in MODULES if path.is_relative_to(ROOT / "experiments")]
    assert [path for path in own if importing.search(path.read_text())] == []


def test_every_module_has_a_docstring():
    assert [path for path in MODULES if not path.read_text().startswith('"""')] == []
