import statistics

import pandas as pd
import pytest

import experiments
from experiments import server
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.deployment.serving.experiment import ServingSpec, answer, serving
from experiments.runs import store


@pytest.fixture(scope="module")
def rows(shared_database):
    return experiments.run("serving", preset="quick", device="CPU", time_limit_s=170)


@pytest.fixture(scope="module")
def details(rows, shared_database):
    return {name: experiments.detail(rows["run_id"].iloc[0], name) for name in serving.details}


@pytest.fixture(scope="module")
def samples(rows, shared_database):
    return store.read_samples(store.engine(store.database_url()), rows["run_id"].iloc[0])


def test_every_policy_gets_every_load(rows):
    assert list(zip(rows["arrival"], rows["variant"], strict=True)) == [
        (arrival, variant) for arrival in ("single", "closed", "open") for variant in ("no batching", "batch 8, drain")
    ]


def test_every_answer_over_http_equals_numpys(rows):
    assert (rows["errors"] == 0).all()
    assert (rows["max_abs_error"] < 1e-3).all()
    assert (rows["achieved_per_s"] > 0).all()


def test_the_latency_of_every_answer_is_stored(rows, samples):
    stored = [one["seconds"] for one in sorted(samples, key=lambda one: one["number"])]
    assert [len(seconds) for seconds in stored] == rows["requests"].tolist()  # none was refused or lost
    medians = [1e3 * statistics.median(seconds) for seconds in stored]
    assert medians == pytest.approx(rows["p50_ms"].tolist(), abs=1e-3)


def test_only_a_batching_policy_batches(rows):
    of = rows[rows["arrival"] == "closed"].set_index("variant")["mean_batch"]
    assert of["no batching"] == 1
    assert 1 <= of["batch 8, drain"] <= 8


def test_the_details_contain_requests_distributions_and_both_paths(details):
    assert set(details["requests"]["status"]) == {200}
    assert (details["distribution"]["request_ms"] > 0).all()
    paths = details["paths"]
    assert set(paths["rows"]) == {1, 8}
    assert {"numpy to tensor", "replay", "tensor to numpy", "all of it"} == set(paths["part"])
    assert "fast" in set(paths["path"])


def test_the_answer_recommends_a_policy_for_the_expected_rate(rows):
    assert answer(rows).startswith("On CPU, for 200 requests/s within 10 ms, ")


def row(variant, arrival="open", rate=50.0, p99=5.0, met=True, p50=1.0, **further):
    values = {"device": "CPU", "variant": variant, "path": "fast", "arrival": arrival, "rate_per_s": rate}
    values |= {"clients": None, "objective_ms": 10.0, "unsent_ms": 0.2}
    timed = {"p50_ms": p50, "p50_lo_ms": p50 - 0.1, "p50_hi_ms": p50 + 0.1, "p95_ms": 2.0, "p99_ms": p99}
    met_or_not = {"in_time": 1.0 if met else 0.9, "slo_met": met}
    return {**values, **timed, **met_or_not, "highest": None, "achieved_per_s": 50.0, **further}


def answer_of(*rows):
    return answer(pd.DataFrame(rows).convert_dtypes())


def searched(variant, rate):
    tried = [row(variant, rate=1000.0, highest=False), row(variant, rate=rate, highest=True)]
    return [*tried, row(variant, rate=2 * rate, met=False, highest=False)]


def test_among_equally_fast_policies_the_one_with_the_highest_rate_is_recommended():
    found = [row("alone", p99=4.9), row("drain"), row("wait", p50=3.0, p99=7.0), row("slow", p99=90.0, met=False)]
    rates = [*searched("alone", 1500.0), *searched("drain", 4000.0), *searched("wait", 8000.0)]
    assert answer_of(*found, *rates) == (
        "On CPU, for 50 requests/s within 10 ms, use drain: p99 5 ms, up to 4,000/s (alone: p99 4.9 ms, up to 1,500/s; "
        "wait: p99 7 ms, up to 8,000/s; slow: p99 90 ms, only 90.0% within the SLO)."
    )


def test_without_a_search_the_shortest_tail_of_the_fastest_is_recommended():
    assert answer_of(row("drain", p99=6.0), row("alone")).startswith(
        "On CPU, for 50 requests/s within 10 ms, use alone: p99"
    )


def test_the_answer_names_the_closest_policy_if_none_meets_the_slo():
    assert answer_of(row("drain", met=False), row("wait", met=False) | {"in_time": 0.95}) == (
        "On CPU, for 50 requests/s within 10 ms, no policy answers 99% within the SLO: wait comes closest with 95.0%."
    )


def test_the_answer_warns_if_the_generator_was_late():
    assert answer_of(row("drain"), row("wait", unsent_ms=14.6)).endswith(
        " The load generator was 15 ms late on average: this machine was busy with other work."
    )


def test_a_rate_of_the_search_is_not_the_expected_one():
    closed = [row("alone", "closed", None, clients=8), row("drain", "closed", None, clients=8, achieved_per_s=900.0)]
    assert answer_of(*closed, *searched("drain", 4000.0)) == (
        "On CPU, drain answers 900 rows/s (8 clients), the lowest throughput is 50 rows/s by alone (8 clients); 99% "
        "of the requests are answered within 10 ms up to 4,000/s by drain."
    )


def test_a_missing_package_fails_the_run_in_one_line(monkeypatch):
    monkeypatch.setattr(server, "missing", lambda: "uvicorn")
    with pytest.raises(BadInput, match=r"^the server needs uvicorn, which is not installed; `pip install uvicorn`$"):
        next(serving.run(ServingSpec(), None))


def test_policy_names_and_a_single_server_without_batching():
    assert [one.name for one in ServingSpec(max_batch=[1, 32], max_wait_ms=[0, 2]).policies] == [
        *("no batching", "batch 32, drain", "batch 32, wait 2 ms", "batch 32, wait 2 ms, plain path")
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_batch": "0"}, "max_batch: 0 is not allowed; give integers from 1 to 256"),
        ({"arrival": "burst"}, "arrival: burst is not allowed; give any of single, closed"),
        ({"objective_ms": "0"}, "objective_ms: 0 is not allowed; give a number from 0.1 to 10000"),
        ({"rate_per_s": "-1"}, "rate_per_s: -1 is not allowed; give numbers from 1 to 20000"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, message):
    with pytest.raises(BadInput) as refused:
        parse(ServingSpec, given)
    assert str(refused.value).startswith(message)
