import pandas as pd
import pytest

from experiments.machine.control.answer import answer, by_call


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


def cell(call, alarms, total, found=0, planted=0):
    """Records of one call: twins with false alarms, and planted differences that were found."""
    twins = [{"verdict": "faster" if number < alarms else "cannot tell", "planted": 0.0} for number in range(total)]
    more = [{"verdict": "slower" if number < found else "faster", "planted": 0.05} for number in range(planted)]
    return [{"call": call, "number_format": "int8", "detectable": 0.03, **one} for one in twins + more]


def test_false_alarms_and_found_differences_are_counted_for_each_call():
    one, other = by_call([*cell("chain", 1, 10), *cell("matmul 64", 0, 12, 9, 10)])
    assert (one["false_alarms"], one["comparisons"], one["found"], one["planted"]) == (1, 10, 0, 0)
    assert (other["false_alarms"], other["comparisons"], other["found"], other["planted"]) == (0, 12, 9, 10)
    assert other["median_detectable"] == 0.03


def test_the_excess_over_five_percent_is_corrected_for_the_number_of_calls():
    one, other = by_call([*cell("chain", 2, 10), *cell("matmul 64", 0, 10)])
    assert one["excess_p"] == pytest.approx(2 * 0.0861, abs=1e-4)
    assert other["excess_p"] == 1


def test_the_answer_names_calls_with_significantly_more_false_alarms_and_what_was_found():
    frame = pd.DataFrame([*cell("chain", 9, 20), *cell("matmul 64", 0, 400, 18, 20)]).assign(device="CPU")
    said = answer(frame)
    assert "Significantly more for chain int8." in said
    assert said.endswith("Of 20 planted differences of 5%, 18 were found (90%).")
