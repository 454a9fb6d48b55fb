import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.machine.control.answer import answer
from experiments.machine.control.experiment import ControlSpec, control
from tests.experiments.compiler.program_tools import output_of

QUICK = control.presets["quick"]


@pytest.fixture(scope="module")
def rows(shared_database):
    """The quick preset, really run once."""
    return experiments.run("control", preset="quick", device="CPU", time_limit_s=120)


def test_every_comparison_is_a_row(rows):
    assert rows["comparison"].tolist() == list(range(1, QUICK.comparisons + 1))
    assert set(rows["variant"]) == {"second"}
    assert set(rows["baseline"]) == {"first"}


def test_a_call_against_itself_has_the_verdicts_of_any_comparison(rows):
    assert set(rows["verdict"]) <= {"cannot tell", "faster", "slower"}
    for _, row in rows.iterrows():
        holds_one = row["speedup_lo"] <= 1 <= row["speedup_hi"]
        assert (row["verdict"] == "cannot tell") == holds_one


def test_every_comparison_has_its_interval_of_at_least_twelve_blocks(rows):
    assert (rows["samples"] >= 12).all()
    assert (rows["speedup_lo"] <= rows["speedup"]).all()
    assert (rows["speedup"] <= rows["speedup_hi"]).all()
    assert (rows["latency_ms"] > 0).all()


def test_the_answer_of_a_real_run_counts_its_comparisons(rows):
    alarms = int((rows["verdict"] != "cannot tell").sum())
    assert answer(rows).startswith(f"On CPU, {alarms} of {QUICK.comparisons} comparisons of a call with itself report")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"comparisons": "1"}, "comparisons: 1 is not allowed; give an integer from 2 to 2000"),
        ({"comparisons": "2001"}, "comparisons: 2001 is not allowed; give an integer from 2 to 2000"),
        (
            {"calls": "matmul 96"},
            "calls: matmul 96 is not allowed; give any of network, lenet_300_100, chain, ",
        ),
        ({"number_formats": "int4"}, "number_formats: int4 is not allowed; give any of float32, int8"),
        ({"budget_s": "0"}, "budget_s: 0 is not allowed; give a number from 0.05 to 60"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_one_line(given, problem):
    with pytest.raises(BadInput) as refused:
        parse(ControlSpec, given)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(problem)


@pytest.fixture(scope="module")
def ran(shared_database):
    """Two calls in both number formats, with a planted difference."""
    given = {"comparisons": 2, "calls": ["matmul 64", "chain"], "number_formats": ["float32", "int8"]}
    rows = experiments.run("control", **given, planted=True, budget_s=0.05, device="CPU", time_limit_s=160)
    return rows, experiments.detail(rows["run_id"].iloc[0], "by_call")


@pytest.fixture
def cells(ran):
    return ran[0]


@pytest.mark.slow
def test_calls_take_turns_and_each_has_twins_and_a_planted_difference(cells):
    turns = cells[["call", "number_format", "variant"]].to_numpy().tolist()
    assert cells["comparison"].tolist() == list(range(1, 17))
    assert turns == [
        [call, number_format, variant]
        for _ in (1, 2)
        for call in ("matmul 64", "chain")
        for number_format in ("float32", "int8")
        for variant in ("second", "21 calls")
    ]
    assert sorted(set(cells["planted"])) == [0, pytest.approx(0.05)]
    assert (cells["instances"] >= 12).all()


@pytest.mark.slow
def test_every_call_has_a_record_of_its_false_alarms_and_of_what_was_found(ran):
    _, found = ran
    assert found[["call", "number_format"]].to_numpy().tolist() == [
        ["matmul 64", "float32"],
        ["matmul 64", "int8"],
        ["chain", "float32"],
        ["chain", "int8"],
    ]
    assert (found[["comparisons", "planted"]] == 2).all(axis=None)


def test_the_captured_calls_equal_numpy_and_a_wrong_one_is_refused():
    found = output_of("tests.experiments.machine.control.calls_program")
    assert found["checked"] == ["matmul 64 float32", "matmul 64 int8", "chain float32", "chain int8"]
    assert found["refused"].startswith("matmul 64 in float32: a replay differs from numpy by ")
