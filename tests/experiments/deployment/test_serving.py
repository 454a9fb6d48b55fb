import pandas as pd
import pytest

import experiments
from experiments.bench.spec import BadInput, parse
from experiments.deployment import server
from experiments.deployment.serving import ServingSpec, answer, serving


@pytest.fixture(scope="module")
def rows(apart):
    return experiments.run("serving", preset="quick", device="CPU", time_limit_s=170)


@pytest.fixture(scope="module")
def details(rows, apart):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in serving.details}


def test_every_policy_meets_every_load(rows):
    assert list(zip(rows["arrival"], rows["variant"], strict=True)) == [
        (arrival, variant) for arrival in ("single", "closed", "open") for variant in ("no batching", "batch 8, drain")
    ]


def test_every_answer_over_http_is_numpys(rows):
    assert (rows["errors"] == 0).all()
    assert (rows["max_abs_error"] < 1e-3).all()
    assert (rows["achieved_per_s"] > 0).all()


def test_only_a_batching_policy_batches(rows):
    of = rows[rows["arrival"] == "closed"].set_index("variant")["mean_batch"]
    assert of["no batching"] == 1
    assert 1 <= of["batch 8, drain"] <= 8


def test_the_details_hold_requests_distributions_and_both_paths(details):
    assert set(details["requests"]["status"]) == {200}
    assert (details["distribution"]["request_ms"] > 0).all()
    paths = details["paths"]
    assert set(paths["rows"]) == {1, 8}
    assert {"numpy to tensor", "replay", "tensor to numpy", "all of it"} == set(paths["part"])
    assert "fast" in set(paths["path"])


def test_the_answer_recommends_a_policy_for_the_expected_rate(rows):
    assert answer(rows).startswith("On CPU, for 200 requests/s, ")


def row(variant, arrival="open", rate=50.0, p99=5.0, met=True, **further):
    values = {"device": "CPU", "variant": variant, "path": "fast", "arrival": arrival, "rate_per_s": rate}
    timed = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": p99, "in_time": 1.0 if met else 0.9, "slo_met": met}
    return {**values, **timed, "highest": None, "achieved_per_s": 50.0, **further}


def test_the_answer_names_the_policy_with_the_shortest_p99_and_the_headroom_of_each():
    found = [row("drain"), row("wait", p99=7.0), row("slow", p99=90.0, met=False)]
    searched = [row("drain", rate=4000.0, highest=True), row("drain", rate=8000.0, met=False, highest=False)]
    assert answer(pd.DataFrame([*found, *searched]).convert_dtypes()) == (
        "On CPU, for 50 requests/s, use drain: p99 5 ms, 100.0% in time (wait: 7 ms); the objective is met up to "
        "4,000/s by drain."
    )


def test_the_answer_says_so_where_no_policy_meets_the_objective():
    frame = pd.DataFrame([row("drain", met=False), row("wait", met=False) | {"in_time": 0.95}]).convert_dtypes()
    assert answer(frame) == (
        "On CPU, for 50 requests/s, no policy answers 99 % in time: wait comes nearest with 95.0%."
    )


def test_a_missing_package_fails_the_run_in_one_line(monkeypatch):
    monkeypatch.setattr(server, "missing", lambda: "uvicorn")
    with pytest.raises(BadInput, match=r"^uvicorn is not installed, which the server needs; `pip install uvicorn`$"):
        next(serving.run(ServingSpec(), None))


def test_policies_are_named_and_no_batching_needs_no_wait():
    assert [one.name for one in ServingSpec(max_batch=[1, 32], max_wait_ms=[0, 2]).policies] == [
        *("no batching", "batch 32, drain", "batch 32, wait 2 ms", "batch 32, wait 2 ms, plain path")
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_batch": "0"}, "max_batch: 0 is not allowed; give integers from 1 to 256"),
        ({"arrival": "burst"}, "arrival: burst is not allowed; give any of single, closed"),
        ({"objective_ms": "0"}, "objective_ms: 0 is not allowed; give a number from 0.1 to 10000"),
        ({"rate_per_s": "-1"}, "rate_per_s: -1 is not allowed; give numbers from 1 to 20000"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(ServingSpec, given)
    assert str(refused.value).startswith(said)
