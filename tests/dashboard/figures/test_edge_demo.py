"""The demo of the edge experiment: a digit to draw, classified in the browser."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import figures
from experiments.runs import store

MODULE = b"\x00asm\x01\x00\x00\x00"  # the smallest module there is


def test_an_experiment_without_a_section_draws_nothing():
    assert figures.view_of("jit").sections is figures.none


PAGE = """
import pandas as pd
from dashboard.figures.edge import demo as edge
edge.store.artifact_names = lambda db, run: {names}
edge.store.read_artifact = lambda db, run, name: {module}
edge.sections({{"id": "r", "imported": {imported}}}, pd.DataFrame(), {{}})
"""


def drawn(names, imported=False):
    text = PAGE.format(names=names, module=MODULE, imported=imported)
    return AppTest.from_string(text, default_timeout=30).run()


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    """What the page replaces comes back after the test."""
    monkeypatch.setattr(store, "artifact_names", store.artifact_names)
    monkeypatch.setattr(store, "read_artifact", store.read_artifact)


def test_a_run_with_a_webassembly_build_can_be_tried():
    page = drawn({"mlp int8.zip": 9, "mlp int8.wasm": 8})
    assert not page.exception
    assert "Try it" in page.markdown[0].value
    assert page.caption[0].value.startswith("8 bytes of WebAssembly")


def test_a_run_without_one_has_its_program_to_download_alone():
    page = drawn({"mlp int8.zip": 9})
    assert not page.exception
    assert not page.markdown
    assert [one.label for one in page.get("download_button")] == ["Download the C program (zip)"]


def test_a_run_without_files_shows_nothing():
    page = drawn({})
    assert not page.exception
    assert not page.get("download_button")


def test_the_program_of_an_imported_run_is_not_run():
    page = drawn({"mlp int8.wasm": 8}, imported=True)
    assert page.info[0].value.startswith("Programs of imported runs are not executed")
    assert not page.caption
