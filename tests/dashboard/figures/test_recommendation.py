"""The page of a trade-off study: pick one, its recipe, its file, and the table of what is selected."""

import hashlib
import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.figures.tradeoffs.recommendation import edge_parameters, edge_refusal
from experiments.bench.machine.environment import host
from experiments.bench.rows import Row, Sample
from experiments.bench.spec import parse
from experiments.deployment.edge.experiment import EdgeSpec
from experiments.models import tensor_file
from experiments.models.recipe import Recipe
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.runs import store
from tests.dashboard.study_records import STUDY, rows

RECIPE = Recipe(sparsity=0.9, tune_steps=1500, quant=QuantSpec("static", 8))


@pytest.fixture
def run_id(db):
    """A stored study of 18 made-up variants, with samples, answers and the models' recipes."""
    return stored_study(db)


def stored_study(db, variants=None, **changes):
    spec = STUDY.preset("course").model_dump(mode="json") | {"device": "CPU"}
    values = {"experiment": "tradeoffs", "spec": spec, "device": "CPU", "host": "here", "time_limit_s": 9.0}
    made = store.add_run(db, **values | changes)
    assert store.claim(db, made, "somebody")
    frame = rows(variants).drop(columns=["run_id", "experiment", "device"])
    batch = store.Batch()
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        batch.rows.append(Row(row, [Sample("block", 1, [row["latency_ms"] / 1e3] * 12)]))
    names = frame["recipe"].unique()
    batch.details = [
        ("models", [{"recipe": name, "text": RECIPE.json(), "size_bytes": 1, "kept": False} for name in names]),
        ("effects", [{"batch": 32, "seed": 0, "factor": "execution", "level": "jit", "response": "latency",
                      "effect": 0.2, "effect_lo": 0.19, "effect_hi": 0.21, "settings": 9}]),
    ]  # fmt: skip
    answers = tensor_file.encode({name: np.packbits(np.ones(80, bool)) for name in names}, {"images": "80"})
    batch.artifacts = [("answers.safetensors", hashlib.sha256(answers).hexdigest(), answers)]
    store.write(db, made, "somebody", batch, 0, 0)
    store.finish(db, made, "somebody", "done", "done")
    return made


def opened(run_id, **state):
    page = AppTest.from_string(
        "from dashboard.pages import experiment\nexperiment.show('tradeoffs')\n", default_timeout=60
    )
    page.query_params["run"] = run_id
    for key, value in state.items():
        page.session_state[key] = value
    return page.run()


def test_the_smallest_is_picked_with_its_recipe_its_way_and_its_runner_up(run_id):
    page = opened(run_id)
    assert not page.exception
    said = [text.value for text in page.markdown]
    assert "#### Recommendation" in said
    assert any(text.startswith("**jit int8 static 90% pruned: ") for text in said)
    assert any("pruned: of the same size; the difference is inconclusive" in text.value for text in page.caption)
    assert any(code.value == RECIPE.json() for code in page.code)
    assert any(f"`{RECIPE.hash}`" in text for text in said)
    drawn = [json.loads(chart.proto.spec)["layout"] for chart in page.get("plotly_chart")]
    assert any(layout["xaxis"]["title"]["text"] == "Bytes<br>[kB]" for layout in drawn)


@pytest.mark.slow
def test_a_limit_is_asked_for_where_the_question_has_one(run_id):
    page = opened(run_id)
    chosen = page.selectbox(key=f"{run_id}-pick-question").select("Best under a size").run()
    assert not chosen.exception
    limited = chosen.number_input(key=f"{run_id}-pick-size").set_value(0.2).run()
    assert any("No variant of this study qualifies" in text.value for text in limited.info)


def test_selected_points_filter_the_table(run_id):
    two = ["jit float32 dense", "jit int8 static dense"]
    everything, chosen = opened(run_id), opened(run_id, **{f"{run_id}-selected": two})
    assert [len(table.value) for table in everything.dataframe] == [18]
    assert chosen.dataframe[0].value["variant"].tolist() == two
    assert any("2 of 18 rows" in text.value for text in chosen.info)


def test_the_plan_stands_under_the_form(db):
    page = AppTest.from_string(
        "from dashboard.pages import experiment\nexperiment.show('tradeoffs')\n", default_timeout=60
    ).run()
    assert any("8 variants of 4 models" in text.value for text in page.caption)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        Recipe(),
        Recipe("cnn", seed=3, distilled=True, quant=QuantSpec("weight_only", 4)),
        Recipe(width=0.5, sparsity=0.7, tune_steps=2500, quant=QuantSpec("static", 8)),
    ],
)
def test_the_edge_page_is_handed_fields_that_make_the_very_same_model(recipe):
    assert parse(EdgeSpec, edge_parameters(recipe)).recipe == recipe
    assert edge_refusal(recipe) == ""


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (Recipe(sizes=(("hidden", 64),)), "only for the network's own widths"),
        (Recipe(quant=QuantSpec("static", 8, granularity="per_tensor")), "one scale per output"),
        (Recipe("cnn", sparsity=0.995), "sparsity: 0.995 is not allowed"),
    ],
    ids=["sizes", "scales", "sparsity"],
)
def test_what_the_edge_page_cannot_make_is_not_handed_over_and_the_reason_is_said(recipe, why):
    assert why in edge_refusal(recipe)


def test_a_run_without_its_model_files_shows_a_notice(run_id):
    assert any("has no model files" in text.value for text in opened(run_id).caption)


def study_on_overview(overview):
    return next(one.proto.label for one in overview().get("page_link") if " · CPU · " in one.proto.label)


def test_the_overview_opens_with_the_study_of_this_machine_and_not_with_a_newer_one_from_elsewhere(db, overview):
    stored_study(db, host=host(), created=1.0)
    stored_study(db, host=host(), created=2.0, imported=True, environment={"gpu": "a GPU far away"})
    assert study_on_overview(overview).startswith("**This machine**")


def test_without_a_study_of_its_own_the_overview_shows_another_and_names_its_machine(db, overview):
    stored_study(db, host=host(), imported=True, environment={"gpu": "a GPU far away"})
    assert "This machine" not in study_on_overview(overview)
    assert "a GPU far away" in study_on_overview(overview)
