import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.machine.control import ControlSpec, answer, control

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
    assert answer(rows).startswith(f"On CPU {alarms} of {QUICK.comparisons} comparisons of a call with itself report")


def made(alarms, total):
    verdicts = ["faster"] * alarms + ["cannot tell"] * (total - alarms)
    return pd.DataFrame({"device": "CPU", "verdict": pd.Series(verdicts, dtype="string")})


def test_no_false_alarm_is_consistent_with_the_intervals():
    assert answer(made(0, 200)) == (
        "On CPU, 0 of 200 comparisons of a call with itself report a difference: 0.0% false alarms "
        "(95% CI 0.0% to 1.9%), consistent with the 5% expected of 95% intervals."
    )


def test_a_rate_of_false_alarms_that_may_be_five_percent_is_consistent():
    assert "5.0% false alarms (95% CI 2.7% to 9.0%), consistent" in answer(made(10, 200))
    assert "7.5% false alarms (95% CI 4.6% to 12.0%), consistent" in answer(made(15, 200))


def test_more_false_alarms_than_expected_mean_a_disturbed_machine():
    said = answer(made(30, 200))
    assert "15.0% false alarms (95% CI 10.7% to 20.6%), more than the 5%" in said
    assert said.endswith("other load disturbs this machine, do not trust small differences.")


def test_without_rows_there_is_no_answer():
    assert answer(made(0, 0)) == ""


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"comparisons": "11"}, "comparisons: 11 is not allowed; give an integer from 12 to 2000"),
        ({"comparisons": "2001"}, "comparisons: 2001 is not allowed; give an integer from 12 to 2000"),
        ({"budget_s": "0"}, "budget_s: 0 is not allowed; give a number from 0.05 to 60"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_one_line(given, problem):
    with pytest.raises(BadInput) as refused:
        parse(ControlSpec, given)
    assert refused.value.problems == (problem,)
