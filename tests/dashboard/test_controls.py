"""The form of a spec: defaults, presets, the URL and refused values."""

import pytest

from experiments.compiler.jit import jit
from experiments.runs import store
from tests.dashboard.jit_form import errors, field, marked_preset, run_button, values
from tests.dashboard.run_records import SPEC


def test_the_form_shows_the_defaults_their_preset_and_the_device_of_auto(jit_page):
    page = jit_page()
    shown = {name: str(value) for name, value in values(page).items()}
    assert shown == {name: str(getattr(jit.spec(), name)) for name in SPEC} | {
        "batch": "16,32,64,128",
        "size": "1000",
        "widths": "784,128,64,10",
    }
    assert not errors(page)
    assert not run_button(page).disabled
    assert field(page, "device").options == ["auto (CPU)", "CPU"]
    assert marked_preset(page) == "exercise"


def test_a_link_fills_the_form(jit_page):
    page = jit_page(batch="16,32", model="tiny_layers", calls="7", half_width="0.1")
    assert {"batch": "16,32", "model": "tiny_layers", "calls": 7, "half_width": 0.1}.items() <= values(page).items()
    assert not errors(page)
    assert marked_preset(page) is None


def test_the_url_keeps_what_differs_from_the_defaults_alone(jit_page):
    page = jit_page(batch="16,32", calls="10")
    assert page.query_params == {"batch": "16,32"}


def test_a_change_in_the_form_is_written_to_the_url(jit_page):
    page = jit_page()
    field(page, "batch").set_value("8").run()
    field(page, "calls").set_value(5).run()
    assert page.query_params == {"batch": "8", "calls": "5"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("batch", "../../etc", "batch: ../../etc is not allowed; give integers from 1 to 65536, at most 16 of them"),
        ("calls", "99999", "calls: 99999 is not allowed; give an integer from 3 to 200"),
        ("model", "evil", "model: evil is not allowed; give one of mlp3, elementwise"),
        ("device", "ABACUS", "device: 'ABACUS' is not allowed; give auto, CUDA"),
        ("half_width", "nan", "half_width: nan is not allowed; give a number from 0.001 to 0.5"),
        ("foo", "1", "foo: unknown field; the fields are device, model, batch"),
        ("batches", "1", "batches: unknown field, did you mean batch?"),
    ],
)
def test_a_bad_link_is_refused_in_one_line_and_nothing_is_queued(jit_page, db, name, text, message):
    page = jit_page(**{name: text})
    [said] = errors(page)
    assert said.replace("\\", "").startswith(f"in the link, {message}")
    assert "\n" not in said
    assert field(page, "batch").value == "16,32,64,128"
    assert page.query_params == {}
    assert store.count_runs(db) == 0


def test_each_problem_of_a_link_has_its_own_line_and_the_rest_of_it_is_used(jit_page):
    page = jit_page(batch="16,32", calls="99999", foo="1")
    assert len(errors(page)) == 2
    assert values(page)["batch"] == "16,32"
    assert page.query_params == {"batch": "16,32"}


def test_the_problem_of_a_link_is_gone_when_a_preset_is_chosen(jit_page):
    page = jit_page(foo="1")
    page.get("button_group")[0].set_value("quick").run()
    assert not errors(page)


def test_markdown_in_a_link_is_shown_as_text(jit_page):
    [said] = errors(jit_page(calls="[x](//evil) ![](//evil)"))
    assert r"\[x\](//evil) !\[\](//evil)" in said


def test_a_preset_fills_the_form_and_the_url_and_keeps_the_device(jit_page):
    page = jit_page(device="CPU")
    page.get("button_group")[0].set_value("quick").run()
    quick = jit.preset("quick")
    assert {name: values(page)[name] for name in ("batch", "widths")} == {"batch": "16,64", "widths": "64,32,16,10"}
    assert (values(page)["calls"], values(page)["budget_s"]) == (quick.calls, quick.budget_s)
    assert values(page)["device"] == "CPU"
    assert page.query_params == {
        "device": "CPU",
        "batch": "16,64",
        "widths": "64,32,16,10",
        "calls": "5",
        "budget_s": "0.5",
    }


def test_absurd_text_is_refused_and_disables_run(jit_page, db):
    page = jit_page()
    field(page, "batch").set_value("1e9").run()
    [said] = errors(page)
    assert said.startswith("batch: 1e9 is not allowed; give integers from 1 to 65536")
    assert run_button(page).disabled
    field(page, "batch").set_value("1").run()
    assert not errors(page)
    assert not run_button(page).disabled
    assert store.count_runs(db) == 0


def test_run_takes_what_the_form_shows_though_the_browser_still_has_the_earlier_url(jit_page, db):
    page = jit_page()
    field(page, "batch").set_value("8").run()
    page.query_params.clear()
    run_button(page).click().run()
    assert store.list_runs(db)[0]["spec"]["batch"] == [8]


def test_a_second_change_keeps_the_first_though_the_browser_still_has_the_earlier_url(jit_page):
    page = jit_page()
    field(page, "batch").set_value("8").run()
    page.query_params.clear()
    field(page, "calls").set_value(5).run()
    assert (values(page)["batch"], values(page)["calls"]) == ("8", 5)
    assert page.query_params == {"batch": "8", "calls": "5"}


def test_a_preset_after_a_change_keeps_its_device_though_the_browser_still_has_the_earlier_url(jit_page):
    page = jit_page()
    field(page, "device").set_value("CPU").run()
    page.query_params.clear()
    page.get("button_group")[0].set_value("quick").run()
    assert (values(page)["batch"], values(page)["device"]) == ("16,64", "CPU")


def test_an_earlier_url_without_any_change_of_the_form_is_followed(jit_page):
    page = jit_page()
    field(page, "batch").set_value("8").run()
    page.query_params.clear()
    assert values(page.run())["batch"] == "16,32,64,128"
