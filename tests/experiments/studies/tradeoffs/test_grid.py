"""The grid of a trade-off study: names, recipes, plan, and rejected input."""

import re

import pytest

from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.models import builder
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.registry import find
from experiments.studies.tradeoffs.experiment import MAX_VARIANTS, TradeoffsSpec
from experiments.studies.tradeoffs.grid import Combination

STUDY = find("tradeoffs")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "cache_folder", lambda: tmp_path)


@pytest.mark.parametrize(
    ("combination", "name"),
    [
        (Combination(), "eager float32 dense"),
        (Combination("jit", "unstructured 0.9", "static 8"), "jit int8 static 90% pruned"),
        (Combination("jit+beam=2", "structured 0.5", "weight-only 4"), "jit+beam=2 int4 weight only width 50%"),
        (Combination("jit", "structured 0.25 unstructured 0.7"), "jit float32 width 25% 70% pruned"),
        (Combination("jit", distilled="yes", hidden=64), "jit float32 dense distilled 64 hidden"),
    ],
)
def test_a_variant_is_named_by_its_techniques(combination, name):
    assert combination.name == name


def test_a_combination_has_one_recipe():
    recipe = Combination("jit", "structured 0.5 unstructured 0.7", "static 4", hidden=64).recipe("mlp", 3, 200)
    assert (recipe.sizes, recipe.seed, recipe.width, recipe.sparsity) == ((("hidden", 64),), 3, 0.5, 0.7)
    assert recipe.quant == QuantSpec("static", 4)
    assert Combination(hidden=128).recipe("mlp", 0, 200) == Combination().recipe("mlp", 0, 200)
    assert Combination(hidden=150).recipe("lenet_300_100", 0, 0).sizes == (("first", 150), ("second", 50))


def test_the_grid_is_every_combination_with_the_baseline_first():
    spec = TradeoffsSpec(execution=["jit"], pruning=["unstructured 0.9"], quantization=["static 8", "static 4"])
    names = [one.name for one in spec.grid.combinations]
    assert names == ["eager float32 dense", "jit int8 static 90% pruned", "jit int4 static 90% pruned"]
    assert spec.grid.variants == 3
    assert [one.is_pruned for one in spec.grid.models()] == [False, True, True]


def test_the_course_is_8_variants_of_4_models():
    course = STUDY.preset("course")
    assert course.grid.variants == 8
    assert len(course.grid.models()) == 4
    assert re.fullmatch(r"8 variants of 4 models; about 0?\.?\d+(\.\d+)? minutes on 2 CPU cores", STUDY.plan(course))
    assert course.grid.minutes(course.grid.models()) < 2


def test_the_plan_counts_cached_models(tmp_path):
    course = STUDY.preset("course")
    before = course.grid.minutes(course.grid.models())
    for recipe in course.grid.models()[:3]:
        builder.cache_path(recipe).parent.mkdir(exist_ok=True)
        builder.cache_path(recipe).touch()
    assert "3 of them cached" in STUDY.plan(course)
    assert course.grid.minutes(course.grid.models()[3:]) < before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"execution": ""}, "execution: nothing is not allowed"),
        ({"batch": "0"}, "batch: 0 is not allowed; give integers from 1 to 1024"),
        ({"execution": "jit+beam=0"}, "execution: 'jit+beam=0' is not allowed; give eager, jit or jit+beam=N"),
        ({"pruning": "unstructured 1.5"}, "pruning: 'unstructured 1.5' is not allowed; give none, unstructured S"),
        ({"pruning": "structured 0"}, "pruning: 'structured 0' is not allowed"),
        (
            {"pruning": "structured 0.001"},
            "pruning: structured 0.001 is not allowed for mlp; every layer needs at least",
        ),
        ({"quantization": "static 9"}, "quantization: 'static 9' is not allowed; give none, weight-only B or static B"),
        ({"network": "lenet_5", "distilled": "yes"}, "distilled: lenet_5 has no larger network to learn from"),
        ({"minutes": "0.5"}, "8 variants would take about .* minutes, more than the 0.5 of `minutes`; ask for a"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(TradeoffsSpec, given)
    assert re.search(message.replace("+", r"\+"), str(refused.value))
    assert all("\n" not in problem for problem in refused.value.problems)


def test_ten_thousand_variants_are_refused_with_the_minutes():
    given = {
        "execution": ",".join(["eager", "jit", *(f"jit+beam={width}" for width in range(1, 7))]),
        "pruning": ",".join(f"unstructured 0.{share}" for share in range(10, 30)),
        "quantization": ",".join(["none", *(f"{kind} {b}" for kind in ("static", "weight-only") for b in range(2, 9))]),
        "batch": "1,2,4,8",
    }
    with pytest.raises(BadInput) as refused:
        parse(TradeoffsSpec, given)
    (message,) = refused.value.problems
    found = re.search(r"([\d,]+) variants would take about ([\d,]+) minutes; ask for a smaller grid", message)
    assert int(found[1].replace(",", "")) > 9_000
    assert int(found[2].replace(",", "")) > 100
    assert f"at most {MAX_VARIANTS} variants" in message


def test_a_whole_study_needs_its_memory():
    need = TradeoffsSpec(network="lenet_5", minutes=600).need()
    assert need.bytes == 8 * 431_080 * 8
    assert need.what == "a grid point of 8 variants"
