"""Links to pages and presets; links imports no page."""

import subprocess
import sys

from dashboard import links
from experiments.bench.spec import parse
from experiments.registry import registered


def test_links_imports_no_page():
    code = "import sys, dashboard.links; print(any(name.startswith('dashboard.pages') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_link_of_a_preset_contains_what_differs_from_the_defaults():
    for one in registered().values():
        for name, preset in one.presets.items():
            query = links.preset_query(one, name)
            assert parse(one.spec, query) == preset
            assert all(text != one.spec().text(field) for field, text in query.items())


def test_every_section_has_an_icon():
    assert {one.section for one in registered().values()} <= set(links.ICONS)


def test_the_registered_functions_draw_the_pages(monkeypatch):
    drawn = []
    monkeypatch.setattr(links, "_drawn_by", {})
    links.register(experiment=drawn.append, compare=lambda: drawn.append("compare"))
    links._draw("experiment", "jit")
    links._draw("compare")
    assert drawn == ["jit", "compare"]
