"""Where there are no runs of one's own, examples are offered, named as such, and go away with one click."""

from experiments.runs import examples, store

LOAD, REMOVE = "Show example results", "Remove the example results"


def press(page, label):
    return next(one for one in page.button if one.label.startswith(label)).click().run()


def test_the_overview_offers_examples_and_takes_them_away_again(overview, db):
    page = press(overview(), LOAD)
    assert not page.exception
    assert store.count_runs(db) == len(examples.carried())
    assert any(one.proto.label.startswith("**What it buys on") for one in page.get("page_link"))
    assert "this machine" not in " ".join(one.proto.label for one in page.get("page_link"))
    press(page, REMOVE)
    assert store.count_runs(db) == 0


def test_with_a_run_of_ones_own_the_overview_offers_no_examples(overview, stored):
    stored()
    assert not [one for one in overview().button if one.label.startswith(LOAD)]


def test_the_page_of_an_experiment_opens_its_example(db):
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_string(
        "from dashboard.pages import experiment\nexperiment.show('record')\n", default_timeout=60
    )
    page = press(page.run(), "Example: ")
    assert not page.exception
    assert page.query_params["run"] in [one.run_id for one in examples.carried("record")]
    assert any("median of 3 seeds" in text.value for text in page.markdown)
