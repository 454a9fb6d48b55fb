"""An experiment's own module on the dashboard is found by the experiment's name; the other pages name no experiment."""

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard import figures, tour
from experiments import registry
from experiments.registry import registered
from experiments.runs import store

OWN = '''
"""Halves numbers."""
from experiments.bench.columns import Column
from experiments.bench.spec import Spec, experiment


class HalfSpec(Spec):
    """Nothing to choose."""


@experiment(
    section="Compiler", title="Half", question="How much is one half?", compares="halves",
    spec=HalfSpec, presets={"quick": HalfSpec()}, columns=[Column("half", "number", "one half", "")],
    grid=(), summary=("half",),
)
def half(spec, bench):
    """Not measured: anything. Source: none."""
    yield {"variant": "half", "half": 0.5}
'''
FIGURES = """
import streamlit as st

def sections(run, rows, details):
    st.text(f"section of {len(rows)} rows of {run['experiment']}")

def overview():
    st.text("half on the overview")

def method_section():
    raise ValueError("a mistake in user code")

def device_section(device, host, facts):
    st.text(f"half on {device}, {'known' if facts else 'unknown'}")
"""
# Details and bounds that are called like an experiment.
DETAILS = {("inspector.py", "ceilings"), ("inspector.py", "memory"), ("roofline.py", "memory")}
PAGE = "from dashboard.pages import {page}\n{page}.show({argument})\n"


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A folder of user-defined experiments with one experiment and its figures module."""
    (tmp_path / "half.py").write_text(OWN)
    (tmp_path / "half_figures.py").write_text(FIGURES)
    monkeypatch.setenv(registry.FOLDERS, str(tmp_path))
    registry.forget()
    yield
    monkeypatch.undo()
    registry.forget()


def texts(page, argument="", **query):
    drawn = AppTest.from_string(PAGE.format(page=page, argument=argument), default_timeout=60)
    for name, value in query.items():
        drawn.query_params[name] = value
    drawn.run()
    assert not drawn.exception
    return [one.value for one in (*drawn.text, *drawn.warning)]


def test_an_experiment_without_a_module_has_only_a_table():
    view = figures.view_of("there_is_no_such_experiment")
    assert view == figures.ExperimentView()
    assert view.panels(None, {}) == view.point_panels(None, {}) == []


def test_every_registered_experiment_has_figures():
    assert [name for name in registered() if figures.view_of(name).panels is figures.none] == []


def test_a_user_defined_experiment_has_sections_on_every_page(half, db, stored):
    run_id = store.add_run(db, experiment="half", spec={}, device="CPU", host="here", time_limit_s=9.0)
    assert "section of 0 rows of half" in texts("experiment", "'half'", run=run_id)
    assert "half on the overview" in texts("overview")
    assert "half on CPU, known" in texts("devices")


def test_an_error_in_a_section_is_one_line_on_the_page(half):
    assert "The section of half cannot be shown (ValueError)." in texts("method")


def test_no_page_but_an_experiments_own_module_and_the_tour_contains_the_name_of_an_experiment():
    root = Path(dashboard.__file__).parent
    names = set(registered())
    own = {root / "figures" / name for name in names} | {root / "figures" / f"{name}.py" for name in names}
    exempt = {Path(tour.__file__), root / "theme.py"}  # the course in its order; variants by name, `jit` among them
    found = [
        f"{path.relative_to(root)}:{node.lineno}: {node.value}"
        for path in sorted(root.rglob("*.py"))
        if path not in exempt and not own & {path, *path.parents}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names and (path.name, node.value) not in DETAILS
    ]
    found += [
        f"{path.relative_to(root)}: imports {node.module}"
        for path in sorted(root.rglob("*.py"))
        if not own & {path, *path.parents}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and any(f"dashboard.figures.{name}" in str(node.module) for name in names)
    ]
    assert found == []
