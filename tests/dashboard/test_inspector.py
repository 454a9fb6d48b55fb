"""The section `Why` of a stored run: kernels, roofs, one replay, code."""

import json

import pytest

from experiments.runs import store
from tests.dashboard.kernel_records import CEILINGS, CODE, MEMORY, copy, kernel, launched

SECTION = "#### Why: kernels and ceilings"
TWO = (kernel(1), kernel(2))
LONG = "\n".join(f"line {number};" for number in range(1, 1001))


@pytest.fixture
def inspected(stored, db):
    """Writes a run with these kernels; returns its id."""

    def add(kernels=TWO, ceilings=CEILINGS, memory=(MEMORY,), batches=(16,), **changes):
        run_id = stored(batches=batches, status=store.RUNNING, **changes)
        batch = store.Batch()
        batch.details = [
            ("kernels", list(kernels)),
            ("replay", [launched(one["number"], batch=one["batch"], variant=one["variant"]) for one in kernels]),
            ("memory", list(memory)),
            ("ceilings", list(ceilings)),
        ]
        store.write(db, run_id, "tester", batch, len(batches) * 2, 1)
        store.finish(db, run_id, "tester", "done", "")
        return run_id

    return add


def headings(page):
    return [one.value for one in page.markdown if one.value.startswith("####")]


def captions(page):
    return "\n".join(one.value for one in page.caption)


def figures(page):
    return [json.loads(one.proto.spec) for one in page.get("plotly_chart")]


def figure(page, axis):
    """The figure whose x axis has this title."""
    return next(
        one for one in figures(page) if one["layout"]["xaxis"].get("title", {}).get("text", "").startswith(axis)
    )


def kernels_table(page):
    return next(one.value for one in page.dataframe if "kernel_ms" in one.value and "global_size" in one.value)


def code(page):
    return next(one.value for one in page.code if one.language == "c")


def roof_points(page):
    return {one["name"]: one for one in figure(page, "Arithmetic")["data"] if one["mode"] == "markers"}


def test_a_run_with_kernels_shows_them_with_their_roofs_and_one_replay(jit_page, inspected):
    page = jit_page(run=inspected())
    assert not page.exception
    assert SECTION in headings(page)
    assert kernels_table(page)["name"].tolist() == ["r_1", "r_2"]
    assert [len(one["x"]) for one in roof_points(page).values()] == [2]
    assert [one["name"] for one in figure(page, "Time since")["data"]] == ["host: launch and wait", "kernel"]


def test_a_run_without_kernels_has_no_such_section(jit_page, stored):
    assert SECTION not in headings(jit_page(run=stored()))


def test_the_table_shows_what_the_source_does_not(jit_page, inspected):
    table = kernels_table(jit_page(run=inspected()))
    assert "source" not in table
    assert {"ops", "bytes", "gflops", "gb_s", "host_us", "share", "bound", "roof_fraction", "uops"} <= set(table)


def test_the_memory_plan_is_said_in_one_line(jit_page, inspected):
    assert "2,048 bytes in one arena, 11,264 bytes without." in captions(jit_page(run=inspected()))


@pytest.mark.parametrize("memory", [(), ({**MEMORY, "planned_bytes": 0, "unplanned_bytes": 0},)])
def test_a_call_without_intermediate_buffers_shows_no_memory_plan(jit_page, inspected, memory):
    assert "Memory planner" not in captions(jit_page(run=inspected(memory=memory)))


# the code


def test_the_code_of_the_first_kernel_is_one_click_away_and_others_can_be_chosen(jit_page, inspected):
    run_id = inspected([kernel(1), kernel(2, source="void other() {}")])
    page = jit_page(run=run_id)
    assert code(page) == CODE
    assert not next(one for one in page.expander if one.label == "Code").proto.expanded
    choice = page.selectbox(key=f"{run_id}-why-source")
    assert choice.options == ["1 r_1", "2 r_2"]
    choice.set_value("2 r_2").run()
    assert code(page) == "void other() {}"


def test_a_long_source_is_sent_whole_only_when_asked_for(jit_page, inspected):
    run_id = inspected([kernel(source=LONG)])
    page = jit_page(run=run_id)
    assert code(page).splitlines() == LONG.splitlines()[:150]
    everything = page.toggle(key=f"{run_id}-why-all-lines")
    assert everything.label == "All 1,000 lines"
    everything.set_value(True).run()
    assert code(page) == LONG


def test_a_source_of_150_lines_is_shown_as_it_is(jit_page, inspected):
    page = jit_page(run=inspected([kernel(source="\n".join(["x;"] * 150))]))
    assert len(code(page).splitlines()) == 150
    assert not [one for one in page.toggle if one.label.startswith("All 1")]


@pytest.mark.parametrize("source", ["", None])
def test_a_copy_is_shown_as_having_no_code(jit_page, inspected, source):
    page = jit_page(run=inspected([copy(1, source=source)]))
    assert not page.exception
    assert "A copy has no code." in captions(page)
    assert not [one for one in page.code if one.language == "c"]


def test_a_run_that_only_copies_has_a_replay_and_no_roofline(jit_page, inspected):
    drawn = [
        one["layout"]["xaxis"].get("title", {}).get("text", "") for one in figures(jit_page(run=inspected([copy(1)])))
    ]
    assert not any(title.startswith("Arithmetic") for title in drawn)
    assert any(title.startswith("Time since") for title in drawn)


def test_kernels_without_ceilings_are_drawn_without_roofs(jit_page, inspected):
    page = jit_page(run=inspected([kernel(bound=None, roof_fraction=None)], ceilings=()))
    assert not page.exception
    assert [one["mode"] for one in figure(page, "Arithmetic")["data"]] == ["markers"]


# grid points, variants, other runs


def test_each_grid_point_shows_its_own_kernels(jit_page, inspected):
    run_id = inspected([kernel(1), kernel(1, batch=64, name="r_64")], batches=(16, 64))
    page = jit_page(run=run_id)
    assert kernels_table(page)["name"].tolist() == ["r_1"]
    next(one for one in page.get("button_group") if one.key == f"{run_id}-point").set_value("batch 64").run()
    assert kernels_table(page)["name"].tolist() == ["r_64"]


def test_of_several_variants_one_is_listed_and_all_are_under_the_roofs(jit_page, inspected):
    run_id = inspected([kernel(1), kernel(1, variant="beam", name="r_beam")])
    page = jit_page(run=run_id)
    assert kernels_table(page)["name"].tolist() == ["r_1"]
    assert set(roof_points(page)) == {"jit", "beam"}
    next(one for one in page.get("button_group") if one.key == f"{run_id}-why-variant").set_value("beam").run()
    assert kernels_table(page)["name"].tolist() == ["r_beam"]


def test_other_runs_can_be_put_under_the_same_roofs(jit_page, inspected):
    other = inspected([kernel(1, gflops=90.0)], title="same name")
    mine = inspected(title="same name")
    inspected(experiment="control")
    page = jit_page(run=mine)
    [offer] = page.multiselect
    assert offer.options == [f"same name {other} (CPU)"]
    assert set(roof_points(page)) == {f"same name {mine} (CPU)"}
    offer.set_value(offer.options).run()
    drawn = roof_points(page)
    assert drawn[f"same name {other} (CPU)"]["y"] == [90.0]
    assert drawn[f"same name {mine} (CPU)"]["marker"]["color"] != drawn[f"same name {other} (CPU)"]["marker"]["color"]
    assert f"same name {other} (CPU) matmul 100 GFLOP/s" in {
        one["name"] for one in figure(page, "Arithmetic")["data"] if one["mode"] == "lines"
    }


def test_of_another_run_the_same_grid_point_is_shown_and_all_where_it_has_not_measured_that(jit_page, inspected):
    both = inspected([kernel(1, gflops=1.0), kernel(1, batch=64, gflops=2.0)])
    elsewhere = inspected([kernel(1, batch=8, gflops=3.0)])
    page = jit_page(run=inspected())
    page.multiselect[0].set_value([f"{both} (CPU)", f"{elsewhere} (CPU)"]).run()
    drawn = roof_points(page)
    assert drawn[f"{both} (CPU)"]["y"] == [1.0]
    assert drawn[f"{elsewhere} (CPU)"]["y"] == [3.0]


def test_another_run_without_kernels_changes_nothing(jit_page, inspected, stored):
    without = stored()
    page = jit_page(run=inspected())
    page.multiselect[0].set_value([f"{without} (CPU)"]).run()
    assert not page.exception
    assert len(roof_points(page)) == 1


def test_markup_in_the_title_of_a_run_is_text_in_the_figure_too(jit_page, inspected):
    page = jit_page(run=inspected(title='<a href="//evil">x</a>'))
    assert not any("<a" in name for name in roof_points(page))
