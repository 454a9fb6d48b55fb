"""What stands beside an answer: one sentence per fact, none without it, whatever an imported run holds."""

import pytest

from experiments.runs.remarks import neighbors, remarks, set_aside


@pytest.mark.parametrize("environment", [None, {}, {"cpu": "a processor"}, {"variables_set_aside": ""}])
def test_a_run_with_nothing_to_remark_has_no_remarks(environment):
    assert remarks(environment) == []


def test_a_busy_neighbor_is_named_with_what_it_may_have_done():
    assert neighbors({"other_processes_cpu": 0.34, "stolen_cpu": 0.0}) == (
        "Other processes used 34% of this machine's processor time while this run measured: latencies may be up to "
        "1.52x those of an idle machine, and a difference from another run below 1.52x may come from this. The "
        "variants of this run were affected alike."
    )


def test_time_that_a_hypervisor_withheld_is_named_too():
    told = neighbors({"other_processes_cpu": 0.1, "stolen_cpu": 0.1})
    assert told.startswith(
        "Other processes used 10% of this machine's processor time and its host withheld 10% (steal)"
    )
    assert "1.25x" in told
    assert neighbors({"other_processes_cpu": 0.0, "stolen_cpu": 0.2}).startswith("Its host withheld 20% (steal) while")


@pytest.mark.parametrize(
    "shares",
    [
        {"other_processes_cpu": 0.03, "stolen_cpu": 0.01},
        {"other_processes_cpu": "much"},
        {"other_processes_cpu": None, "stolen_cpu": [1]},
        {"other_processes_cpu": float("nan")},
    ],
)
def test_little_and_nonsense_are_not_remarked(shares):
    assert neighbors(shares) == ""


def test_a_machine_that_others_had_for_themselves_has_a_factor():
    assert "100x" in neighbors({"other_processes_cpu": 1.0, "stolen_cpu": 1e9})


def test_variables_that_did_not_reach_the_run_are_named():
    told = "set and did not reach the run, because it would not measure what its spec says"
    assert set_aside({"variables_set_aside": "BEAM"}) == f"This variable was {told}: BEAM."
    assert remarks({"variables_set_aside": "BEAM VIZ"}) == [f"These variables were {told}: BEAM, VIZ."]
