"""What stands beside an answer: one sentence per fact, none without it, whatever an imported run holds."""

import pytest

from experiments.runs.remarks import remarks, set_aside


@pytest.mark.parametrize("environment", [None, {}, {"cpu": "a processor"}, {"variables_set_aside": ""}])
def test_a_run_with_nothing_to_remark_has_no_remarks(environment):
    assert remarks(environment) == []


def test_variables_that_did_not_reach_the_run_are_named():
    told = "set and did not reach the run, because it would not measure what its spec says"
    assert set_aside({"variables_set_aside": "BEAM"}) == f"This variable was {told}: BEAM."
    assert remarks({"variables_set_aside": "BEAM VIZ"}) == [f"These variables were {told}: BEAM, VIZ."]
