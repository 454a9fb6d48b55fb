import math
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from experiments.bench.columns import Column
from experiments.bench.errors import BadInput
from experiments.bench.rows import Row
from experiments.bench.spec import MeasuredSpec, Need, Spec, experiment, fields, parse
from experiments.bench.timing.measure import Budget
from experiments.registry import registered

PRESETS = [
    pytest.param(one, preset, id=f"{one.name} {name}")
    for one in registered().values()
    for name, preset in {"defaults": one.spec(), **one.presets}.items()
]

INTEGERS = "integers from 1 to 65536, at most 16 of them, separated by commas"
NUMBERS = "numbers from 0 to 1, at most 3 of them, separated by commas"
DEVICES = "auto, CUDA, METAL, AMD, CL, CPU, NV, WEBGPU, QCOM, PYTHON, or one of several devices, such as CUDA:1"


class Sweep(MeasuredSpec):
    """One field of every kind that a form knows."""

    batch: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        [1, 32], min_length=1, max_length=16, title="Batch sizes", description="rows of the input"
    )
    ratios: list[Annotated[float, Field(ge=0, le=1)]] = Field([0.5], max_length=3)
    model: Literal["mlp", "cnn"] = "mlp"
    parts: list[Literal["head", "tail"]] = Field(["head"], max_length=2)
    only: Literal["this"] = "this"
    calls: int = Field(10, ge=3, le=200)
    rate: float = Field(0.1, ge=0, le=1)
    free: float = 1.0
    exact: bool = True
    note: str = ""

    @model_validator(mode="after")
    def _fits(self):
        if self.calls * max(self.batch) > 10**6:
            raise ValueError(f"{self.calls} calls of batch {max(self.batch)} are too many; give at most 10^6 rows")
        return self


def problems(**given):
    with pytest.raises(BadInput) as refused:
        parse(Sweep, given)
    return list(refused.value.problems)


def test_lists_may_be_given_as_text():
    spec = parse(Sweep, {"batch": "1, 32,256", "ratios": "0,0.25", "parts": "tail,head"})
    assert (spec.batch, spec.ratios, spec.parts) == ([1, 32, 256], [0, 0.25], ["tail", "head"])


def test_one_value_is_a_list_of_one():
    assert parse(Sweep, {"batch": "64"}).batch == [64]


def test_values_may_be_given_as_text():
    spec = parse(Sweep, {"calls": "20", "rate": "1e-3", "exact": "false", "device": "cuda:1"})
    assert (spec.calls, spec.rate, spec.exact, spec.device) == (20, 0.001, False, "CUDA:1")


def test_nothing_given_is_the_defaults():
    assert parse(Sweep, {}) == Sweep()


def test_an_unknown_field_is_refused_with_the_nearest_name():
    (problem,) = problems(bacth="1")
    assert problem.startswith("bacth: unknown field, did you mean batch?; the fields are device, ")


def test_an_unknown_field_like_no_other_gets_no_hint():
    (problem,) = problems(xyzzy=1)
    assert problem.startswith("xyzzy: unknown field; the fields are device, ")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"calls": "1"}, "calls: 1 is not allowed; give an integer from 3 to 200"),
        ({"calls": "many"}, "calls: many is not allowed; give an integer from 3 to 200"),
        ({"calls": "3.5"}, "calls: 3.5 is not allowed; give an integer from 3 to 200"),
        ({"rate": "2"}, "rate: 2 is not allowed; give a number from 0 to 1"),
        ({"exact": "perhaps"}, "exact: perhaps is not allowed; give true or false"),
        ({"model": "rnn"}, "model: rnn is not allowed; give one of mlp, cnn"),
        ({"batch": ""}, f"batch: nothing is not allowed; give {INTEGERS}"),
        ({"batch": "1,x"}, f"batch: x is not allowed; give {INTEGERS}"),
        ({"ratios": "0,0,0,0"}, f"ratios: 0,0,0,0 is not allowed; give {NUMBERS}"),
        ({"note": 3}, "note: 3 is not allowed; give text"),
        ({"device": "TPU"}, f"device: 'TPU' is not allowed; give {DEVICES}"),
        ({"batch": [65536], "calls": 200}, "200 calls of batch 65536 are too many; give at most 10^6 rows"),
    ],
)
def test_a_problem_names_the_field_the_value_and_what_is_allowed(given, problem):
    assert problems(**given) == [problem]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "nan", "inf"])
@pytest.mark.parametrize("field", ["free", "rate", "half_width"])
def test_what_is_no_finite_number_is_refused(field, value):
    (problem,) = problems(**{field: value})
    assert problem.startswith(f"{field}: {value} is not allowed")


def test_every_problem_is_a_separate_line():
    told = problems(calls="1", rate="x", batch="0", wrong="1")
    assert {line.partition(":")[0] for line in told} == {"calls", "rate", "batch", "wrong"}
    assert len(told) == 4
    assert not any("\n" in line for line in told)


def test_a_line_break_in_the_input_makes_no_second_line():
    assert problems(calls="1\n2") == ["calls: 1 2 is not allowed; give an integer from 3 to 200"]
    assert problems(**{"a\nb": 1})[0].startswith("a b: unknown field")
    assert "\n" not in problems(device="CPU\n")[0]


def test_a_list_with_two_bad_items_has_two_problems():
    assert [line.partition(" is not")[0] for line in problems(batch="0,5,-1")] == ["batch: 0", "batch: -1"]


def test_an_endless_value_is_cut():
    (problem,) = problems(calls="9" * 5000)
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("batch", INTEGERS),
        ("ratios", NUMBERS),
        ("parts", "any of head, tail, at most 2 of them, separated by commas"),
        ("model", "one of mlp, cnn"),
        ("only", "one of this"),
        ("calls", "an integer from 3 to 200"),
        ("rate", "a number from 0 to 1"),
        ("free", "a number"),
        ("exact", "true or false"),
        ("note", "text"),
        ("half_width", "a number from 0.001 to 0.5"),
    ],
)
def test_allowed_values_are_described(field, allowed):
    assert fields(Sweep)[field].allowed == allowed


def test_a_field_has_what_a_form_needs():
    info = fields(Sweep)["batch"]
    assert (info.title, info.description, info.default) == ("Batch sizes", "rows of the input", "1,32")
    assert (info.kind, info.is_list, info.low, info.high, info.max_items) == ("integer", True, 1, 65536, 16)
    assert next(iter(fields(Sweep))) == "device"


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Sweep().calls = 5


def test_a_bad_default_is_refused():
    class Wrong(Spec):
        calls: int = Field(1, ge=3)

    with pytest.raises(ValidationError, match="calls"):
        Wrong()


def test_the_budget_is_what_the_fields_ask_for():
    assert Sweep(half_width=0.1, budget_s=7).budget == Budget(half_width=0.1, seconds=7)
    assert Sweep().budget == Budget()


def test_a_spec_needs_no_memory_by_default():
    assert Sweep().need() == Need(0, "")


@pytest.mark.parametrize("spec", [Sweep(), Sweep(exact=False, rate=1e-7, ratios=[0.1, 1 / 3], batch=[7], note="a b")])
def test_text_is_understood_again(spec):
    assert parse(Sweep, {name: spec.text(name) for name in fields(Sweep)}) == spec


@pytest.mark.parametrize(("one", "preset"), PRESETS)
def test_every_preset_survives_its_way_through_text(one, preset):
    assert parse(one.spec, {name: preset.text(name) for name in fields(one.spec)}) == preset


@pytest.mark.parametrize(("one", "preset"), PRESETS)
def test_every_preset_survives_its_way_through_json(one, preset):
    assert one.spec.model_validate_json(preset.model_dump_json()) == preset


def declared(**changes):
    given = {
        "section": "Compiler",
        "title": "Sweep",
        "question": "How fast?",
        "spec": Sweep,
        "presets": {"quick": Sweep(), "course": Sweep(calls=20)},
        "columns": ["latency_ms", Column("model", "text", "…")],
        "grid": ["model"],
        "summary": ["latency_ms"],
        "answer": lambda frame: "",
        "details": {"layers": [Column("variant", "text", "…")]},
    } | changes

    @experiment(**given)
    def sweep(spec, bench):
        """What it measures.

        What it does not.
        """
        yield Row({"variant": "one"})

    return sweep


def test_the_function_gives_name_and_description():
    assert declared().name == "sweep"
    assert declared().description == "What it measures.\n\nWhat it does not."


def test_an_unknown_preset_is_refused_with_the_names():
    assert declared().preset("course").calls == 20
    with pytest.raises(BadInput, match="preset: slow is not allowed; give one of quick, course"):
        declared().preset("slow")


def test_an_experiment_with_a_plan_describes_it():
    assert declared().plan(Sweep()) == ""
    assert declared(plan=lambda spec: f"{len(spec.batch)} sizes").plan(Sweep()) == "2 sizes"


def test_a_row_is_held_to_the_declared_columns():
    declared().check_row(Row({"variant": "one", "latency_ms": 1.5, "model": None}))
    with pytest.raises(ValueError, match="'speedup' is not declared"):
        declared().check_row(Row({"variant": "one", "speedup": 1.5}))


def test_a_detail_has_the_run_for_identity_and_may_name_a_variant():
    assert [column.name for column in declared().details["layers"]] == ["variant"]
    with pytest.raises(ValueError, match="run_id"):
        declared(details={"layers": [Column("run_id", "text", "…")]})
