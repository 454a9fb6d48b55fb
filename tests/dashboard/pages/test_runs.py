"""The list of all runs, drawn by the real Streamlit without a browser."""

from urllib.parse import unquote

import pytest
from sqlalchemy import event, insert
from streamlit.testing.v1 import AppTest

from dashboard.pages.runs import PER_PAGE
from experiments.runs import bundle, schema, store

PAGE = "from dashboard.pages import runs\nruns.show()\n"
DIALOG = """
from dashboard import services
from dashboard.pages import runs
from experiments.runs import store

if run := store.get_run(services.database(), {run_id!r}):
    runs.edit(run)
"""


@pytest.fixture
def runs_page():
    """Opens the list of runs with the parameters of its URL."""

    def opened(**parameters):
        page = AppTest.from_string(PAGE, default_timeout=60)
        for name, text in parameters.items():
            page.query_params[name] = text
        return page.run()

    return opened


@pytest.fixture
def dialog():
    """What the dialog of a run holds; AppTest cannot press buttons inside a real one."""
    return lambda run_id: AppTest.from_string(DIALOG.format(run_id=run_id), default_timeout=60).run()


@pytest.fixture
def many(db):
    """Writes a number of runs at once; the newest is called `run 0`."""

    def add(count, **changes):
        same = {"experiment": "jit", "spec": {}, "device": "CPU", "host": "here", "status": "done", "time_limit_s": 1.0}
        made = [{**same, "id": f"r{n:06d}", "title": f"run {n}", "created": 1e9 - n, **changes} for n in range(count)]
        with db.begin() as connection:
            connection.execute(insert(schema.runs), made)

    return add


@pytest.fixture
def various(stored):
    """Three runs that differ in all that a filter looks at."""
    return {
        "mine": stored(title="mine", host="here"),
        "broken": stored(title="broken", status="failed", message="no kernel fits", host="there"),
        "far": stored(title="far", experiment="control", device="CUDA", host="there", tags="paper, cold"),
    }


def links(page):
    return [one.proto.label for one in page.get("page_link")]


def titles(page):
    return sorted(label.rpartition(" · ")[2] for label in links(page))


def captions(page):
    return [one.value for one in page.caption]


def filters(page):
    return {one.label: one.value for one in page.selectbox}


def button(page, key):
    return next(one for one in page.button if one.key == key)


def keys(page, start):
    return [one.key for one in page.button if (one.key or "").startswith(start)]


# the list


def test_without_runs_the_page_tells_what_to_do(runs_page):
    page = runs_page()
    assert page.info[0].value == "No runs yet. Start one on an experiment's page."
    assert not links(page)


def test_a_run_is_a_link_to_its_page_with_its_title_and_its_facts(runs_page, stored):
    run_id = stored(title="cold morning", tags="paper", host="lab")
    page = runs_page()
    [link] = page.get("page_link")
    assert (link.proto.label, link.proto.query_string) == ("JIT · cold morning", f"run={run_id}")
    assert captions(page)[0] == "1 to 1 of 1 runs, newest first"
    assert captions(page)[1].startswith("CPU · lab · ")
    assert captions(page)[1].endswith(" s · tags: paper")


def test_a_run_without_a_title_goes_by_its_id(runs_page, stored):
    run_id = stored()
    assert links(runs_page()) == [f"JIT · {run_id}"]


def test_a_run_that_failed_is_listed_with_its_reason_and_no_fact_is_empty(runs_page, stored):
    stored(status="failed", message="no such kernel")
    stored(status=store.RUNNING)
    said = captions(runs_page())[1:]
    assert any(one.endswith(" · no such kernel") for one in said)
    assert not any(one.endswith("·") or "·  ·" in one for one in said)


def test_a_run_of_an_experiment_that_is_not_here_is_listed_without_a_link(runs_page, stored):
    stored(experiment="gone", title="old")
    page = runs_page()
    assert not links(page)
    assert [one.value for one in page.text] == ["gone · old (this experiment is not installed here)"]


def test_markup_in_what_people_say_is_shown_as_text(runs_page, stored):
    stored(title="**b** [x](//evil) <b>", tags="![](//evil)", status="failed", message="$x$ `y`")
    page = runs_page()
    assert links(page) == [r"JIT · \*\*b\*\* \[x\](//evil) \<b\>"]
    assert r"tags: !\[\](//evil)" in captions(page)[1]
    assert r"\$x\$ \`y\`" in captions(page)[1]


# filters


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["broken", "far", "mine"]),
        ({"experiment": "control"}, ["far"]),
        ({"device": "CUDA"}, ["far"]),
        ({"host": "there"}, ["broken", "far"]),
        ({"status": "failed"}, ["broken"]),
        ({"text": "KERNEL FITS"}, ["broken"]),
        ({"text": "paper"}, ["far"]),
        ({"text": "100%"}, []),
        ({"host": "there", "status": "done"}, ["far"]),
        ({"host": "here", "status": "failed"}, []),
    ],
)
def test_the_url_filters_the_list_and_the_widgets_show_it(runs_page, various, wanted, found):
    page = runs_page(**wanted)
    assert titles(page) == found
    shown = {**filters(page), "Text": page.text_input[0].value}
    names = {"experiment": "Experiment", "device": "Device", "host": "Machine", "status": "Status", "text": "Text"}
    assert {names[name]: text for name, text in wanted.items()}.items() <= shown.items()


@pytest.mark.parametrize(
    ("label", "value", "found"),
    [("Experiment", "jit", ["broken", "mine"]), ("Device", "CUDA", ["far"]), ("Status", "done", ["far", "mine"])],
)
def test_a_widget_filters_the_list(runs_page, various, label, value, found):
    page = runs_page()
    next(one for one in page.selectbox if one.label == label).set_value(value).run()
    assert titles(page) == found


def test_text_is_looked_for_in_id_title_note_tags_and_message(runs_page, various):
    page = runs_page()
    page.text_input[0].set_value(various["mine"]).run()
    assert titles(page) == ["mine"]


def test_a_filter_offers_what_there_is_and_any(runs_page, various):
    offered = {one.label: one.options for one in runs_page().selectbox}
    assert offered == {
        "Experiment": ["any", "control", "jit"],
        "Device": ["any", "CPU", "CUDA"],
        "Machine": ["any", "here", "there"],
        "Status": ["any", "done", "failed"],
    }


def test_where_nothing_matches_the_page_shows_one_line(runs_page, various):
    page = runs_page(text="nothing has this in it")
    assert [one.value for one in page.info] == ["No run matches."]
    assert not links(page)
    assert not page.number_input


@pytest.mark.parametrize("wanted", [{"status": "gone"}, {"page": "x"}, {"page": "-1"}, {"page": "1e99"}])
def test_an_absurd_link_shows_the_list_as_it_is(runs_page, various, wanted):
    page = runs_page(**wanted)
    assert not page.exception
    assert titles(page) == ["broken", "far", "mine"]


# pages


def test_twenty_runs_fit_on_one_page(runs_page, many):
    many(PER_PAGE)
    page = runs_page()
    assert len(links(page)) == PER_PAGE == 20
    assert not page.number_input


def test_the_twenty_first_run_is_on_the_second_page(runs_page, many):
    many(PER_PAGE + 1)
    page = runs_page()
    assert captions(page)[0] == "1 to 20 of 21 runs, newest first"
    page.number_input[0].set_value(2).run()
    assert captions(page)[0] == "21 to 21 of 21 runs, newest first"
    assert links(page) == ["JIT · run 20"]


def test_the_page_number_is_in_the_url_and_one_beyond_the_end_is_the_last(runs_page, many):
    many(45)
    assert links(runs_page(page="2"))[0] == "JIT · run 20"
    assert captions(runs_page(page="99"))[0] == "41 to 45 of 45 runs, newest first"


def test_of_ten_thousand_runs_one_page_is_read_and_drawn(runs_page, many, db):
    many(10_000)
    statements = []
    event.listen(db, "before_cursor_execute", lambda c, cur, said, *_: statements.append(" ".join(said.split())))
    page = runs_page(page="300")
    assert captions(page)[0] == "5,981 to 6,000 of 10,000 runs, newest first"
    assert len(links(page)) == PER_PAGE
    assert len(keys(page, "edit-")) == PER_PAGE
    read = [one for one in statements if one.startswith("SELECT") and "FROM runs" in one]
    for said in read:
        assert "LIMIT" in said or "count(*)" in said or "DISTINCT" in said, said
    assert sum("LIMIT" in said for said in read) == 1


# cancel


def test_a_queued_run_is_cancelled_from_the_list(runs_page, stored, db):
    run_id = stored(status=store.QUEUED)
    page = runs_page()
    button(page, f"cancel-{run_id}").click().run()
    assert store.get_run(db, run_id)["status"] == "cancelled"
    assert keys(page, "cancel-") == []


def test_a_running_run_is_asked_to_stop_once(runs_page, stored, db):
    run_id = stored(status=store.RUNNING)
    page = runs_page()
    button(page, f"cancel-{run_id}").click().run()
    assert store.get_run(db, run_id)["cancel"] is True
    assert button(page, f"cancel-{run_id}").disabled


def test_ended_runs_offer_no_cancel(runs_page, various):
    assert keys(runs_page(), "cancel-") == []


# describe and delete


def test_describe_opens_the_dialog_of_that_run(runs_page, various):
    page = runs_page()
    button(page, f"edit-{various['far']}").click().run()
    assert not page.exception
    assert [one.value for one in page.text_input if one.label in ("Title", "Tags")] == ["far", "paper, cold"]


def test_what_is_typed_is_kept_with_the_run_and_nothing_else_changes(dialog, various, db):
    run_id = various["mine"]
    before = store.get_run(db, run_id)
    page = dialog(run_id)
    page.text_input(key=f"edit-{run_id}-title").set_value("Monday, *cold*")
    page.text_area(key=f"edit-{run_id}-note").set_value("two\nlines")
    page.text_input(key=f"edit-{run_id}-tags").set_value("paper")
    next(one for one in page.button if one.label == "Save").click().run()
    said = {"title": "Monday, *cold*", "note": "two\nlines", "tags": "paper"}
    assert {**store.get_run(db, run_id)} == {**before, **said}
    assert store.get_run(db, various["far"])["title"] == "far"


def test_what_was_typed_for_one_run_is_not_offered_for_another(dialog, stored):
    one, other = stored(), stored()
    keys_of = [{widget.key for widget in dialog(run_id).text_input} for run_id in (one, other)]
    assert not keys_of[0] & keys_of[1]


def test_delete_asks_first_and_takes_that_run_alone(dialog, various, db):
    run_id = various["broken"]
    page = dialog(run_id)
    delete = f"edit-{run_id}-delete"
    assert button(page, delete).disabled
    [sure] = page.checkbox
    assert run_id in sure.label
    sure.check().run()
    assert store.get_run(db, run_id) is not None
    button(page, delete).click().run()
    assert store.get_run(db, run_id) is None
    assert {run["title"] for run in store.list_runs(db)} == {"mine", "far"}


@pytest.mark.parametrize("status", [store.QUEUED, store.RUNNING])
def test_a_run_that_has_not_ended_cannot_be_deleted(dialog, stored, status):
    page = dialog(stored(status=status))
    assert not page.checkbox
    assert [one.label for one in page.button] == ["Save"]


# several runs at once


def test_ticked_runs_are_offered_for_comparison_and_outlast_a_filter(runs_page, various):
    page = runs_page()
    for title in ("mine", "far"):
        page.checkbox(key=f"tick-{various[title]}").check().run()
    page.selectbox(key="device").set_value("CUDA").run()
    [link] = [one for one in page.get("page_link") if "ticked" in one.proto.label]
    assert link.proto.label == "Compare 2 ticked"
    assert f"runs={various['mine']},{various['far']}" in unquote(link.proto.query_string)
    page.checkbox(key=f"tick-{various['far']}").uncheck().run()
    [link] = [one for one in page.get("page_link") if "ticked" in one.proto.label]
    assert link.proto.label == "Compare 1 ticked"


def test_all_ticks_are_taken_off_at_once(runs_page, various):
    page = runs_page()
    page.checkbox(key=f"tick-{various['mine']}").check().run()
    next(button for button in page.button if button.label == "Untick all").click().run()
    assert not any(box.value for box in page.checkbox)


def test_bundles_are_imported_each_with_its_line(runs_page, stored, db):
    run_id = stored(title="from afar")
    data = bundle.export(db, run_id)
    store.delete_run(db, run_id)
    page = runs_page()
    page.file_uploader(key="bundles").set_value(
        [("a.zip", data, "application/zip"), ("b.zip", b"no", "application/zip")]
    )
    next(button for button in page.button if button.label == "Import").click().run()
    assert not page.exception
    assert "b.zip: bundle: not a complete, ordinary zip file" in page.error[0].value
    assert [run["imported"] for run in store.list_runs(db)] == [True]


def test_importing_a_stored_run_again_is_said_in_a_sentence(runs_page, stored, db):
    run_id = stored()
    page = runs_page()
    page.file_uploader(key="bundles").set_value([("a.zip", bundle.export(db, run_id), "application/zip")])
    next(button for button in page.button if button.label == "Import").click().run()
    assert page.info[0].value == f"a.zip: run {run_id} already exists; nothing was changed"
