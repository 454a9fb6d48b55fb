import pandas as pd
import pytest

import experiments
from experiments.bench.columns import VERDICTS
from experiments.bench.errors import BadInput
from experiments.bench.kernel_search import Candidate, Optimization, SearchResult
from experiments.bench.spec import parse
from experiments.bench.timing.measure import Comparison, Timing
from experiments.compiler.beam.experiment import _break_even, answer, beam
from experiments.compiler.beam.optimizations import in_words
from experiments.compiler.beam.spec import BeamSpec
from tests.experiments.compiler.program_tools import output_of

QUICK = beam.presets["quick"]


@pytest.fixture(scope="module")
def ran(shared_database):
    """Rows, candidates and kernels of the quick preset, really run once."""
    rows = experiments.run("beam", preset="quick", device="CPU", time_limit_s=150)
    run_id = rows["run_id"].iloc[0]
    return rows.set_index("variant"), experiments.detail(run_id, "candidates"), experiments.detail(run_id, "kernels")


@pytest.fixture
def rows(ran):
    return ran[0]


@pytest.fixture
def candidates(ran):
    return ran[1]


def test_every_variant_is_timed_and_compared_with_the_heuristic(rows):
    assert rows.index.tolist() == ["noopt", "heuristic", "beam=1"]
    assert rows.loc["heuristic", "verdict"] == "baseline"
    assert set(rows["verdict"]) <= set(VERDICTS)
    assert (rows["samples"] >= 12).all()
    for stem, unit in (("latency", "_ms"), ("kernel", "_ms")):
        low, middle, high = (rows[f"{stem}{end}{unit}"] for end in ("_lo", "", "_hi"))
        assert ((low <= middle) & (middle <= high)).all()


def test_the_results_are_correct(rows):
    assert rows["max_abs_error"].between(0, 1e-3).all()


def test_only_a_search_has_candidates_and_a_cost(rows, candidates):
    assert rows[["search_s", "candidates"]].notna().all(axis=1).tolist() == [False, False, True]
    assert rows.loc["beam=1", "candidates"] == len(candidates)
    assert (rows["first_call_ms"] > 0).all()
    assert rows.loc["beam=1", "search_s"] * 1e3 < rows.loc["beam=1", "first_call_ms"]


def test_optimizations_are_given_as_applied_and_in_words(rows):
    assert rows.loc["noopt", ["applied_opts", "in_words"]].fillna("").tolist() == ["", "none"]
    assert rows.loc["heuristic", "applied_opts"]
    assert rows.loc["beam=1", "in_words"] == in_words(rows.loc["beam=1", "applied_opts"])


def test_the_timed_kernel_is_the_best_that_the_search_found(rows, candidates):
    timed = candidates[candidates["candidate_ms"].notna()]
    assert rows.loc["beam=1", "applied_opts"] in set(timed["opts"])
    assert timed["best_ms"].tolist() == timed["candidate_ms"].cummin().tolist()
    assert candidates["candidate"].tolist() == list(range(1, len(candidates) + 1))


def test_all_variants_do_the_same_work(rows):
    assert rows[["kernels", "ops", "bytes"]].nunique().eq(1).all()
    assert rows["gflops"].tolist() == pytest.approx((rows["ops"] / rows["kernel_ms"] / 1e6).tolist())


def test_the_kernels_of_every_variant_are_profiled(ran):
    rows, _, kernels = ran
    assert kernels.groupby("variant")["number"].max().to_dict() == {"noopt": 1, "heuristic": 1, "beam=1": 1}
    assert (
        kernels["source"].nunique() == rows["applied_opts"].fillna("").nunique()
    )  # a search may end at the heuristic's


def test_the_answer_of_a_real_run_names_every_variant(ran):
    said = answer(ran[0].reset_index())
    assert said.startswith("On CPU, row sum at size 64: ")
    assert "BEAM=1" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kernel": "softmax"}, "kernel: softmax is not allowed"),
        ({"size": "2"}, "size: 2 is not allowed; give integers from 4 to 8192"),
        ({"widths": ""}, "widths: nothing is not allowed; give integers from 1 to 32"),
        ({"widths": "0"}, "widths: 0 is not allowed"),
        ({"search_budget_s": "0"}, "search_budget_s: 0 is not allowed"),
        ({"kernel": "products", "dtype": "float16"}, "dtype: float16 overflows in the sums of products; give float32"),
    ],
)
def test_bad_input_is_rejected_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(BeamSpec, given)
    (problem,) = refused.value.problems
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("given", "numbers", "what"),
    [
        ({"size": [100, 10]}, 3 * 100**2, "3 matrices of 100x100"),
        ({"kernel": "row_reduce", "size": [10]}, 10**2, "a matrix of 10x10"),
        (
            {"kernel": "conv2d", "size": [8], "images": 2, "channels": 3, "filters": 5},
            2 * 8 * 8 * 8 + 5 * 27,
            "2 images of 8x8",
        ),
    ],
)
def test_the_need_is_stated_with_its_arithmetic(given, numbers, what):
    need = BeamSpec(**given).need()
    assert need.bytes == 32 * numbers
    assert need.what.startswith(what)
    assert "32 bytes" in need.what


def compared(gain, blocks=12):
    """The heuristic takes 10 ms, the searched kernel `gain` less, a little more or less of it in turn."""
    searched = [0.010 - gain * (1.1 if number % 2 else 0.9) for number in range(blocks)]
    base = [0.010] * blocks
    return Comparison(
        "heuristic", {"heuristic": Timing(1, base), "beam=1": Timing(1, searched)}, Timing(1, [0.010] * blocks)
    )


def test_break_even_is_cost_over_gain_within_the_gains_interval():
    found = SearchResult(Optimization(1), "done", 19.0, 20.0, (), {})
    plain = SearchResult(Optimization(), "done", 0.0, 1.0, (), {})
    paid = _break_even(compared(0.005), found, plain)
    assert paid["break_even_calls"] == pytest.approx(19 / 0.005, abs=2)
    assert paid["break_even_calls_lo"] == pytest.approx(19 / 0.0055, abs=2)
    assert paid["break_even_calls_hi"] == pytest.approx(19 / 0.0045, abs=2)


def test_a_search_that_was_stopped_has_cost_all_of_its_budget():
    ended = SearchResult(Optimization(1), "timeout", 41.0, None, (), {})
    paid = _break_even(compared(0.005), ended, SearchResult(Optimization(), "done", 0.0, 1.0, (), {}))
    assert paid["break_even_calls"] == pytest.approx(40 / 0.005, abs=2)


def row(variant, ratio=None, verdict="faster", **changes):
    interval = {"speedup": ratio, "speedup_lo": ratio and ratio * 0.9, "speedup_hi": ratio and ratio * 1.1}
    same = {"device": "CPU", "kernel": "matmul a@b", "size": 512, "variant": variant, "latency_ms": 1.0}
    cost = {"search_s": 25.0, "candidates": 42} if "beam" in variant else {"search_s": None, "candidates": None}
    paid = {"break_even_calls": 900, "break_even_calls_lo": 800, "break_even_calls_hi": 1000}
    return {**same, **interval, "verdict": verdict, **cost, **(paid if verdict == "faster" else {}), **changes}


BASE = row("heuristic", verdict="baseline")


def said(*rows):
    frame = pd.DataFrame([BASE, *rows])
    integers = ["candidates", *(f"break_even_calls{end}" for end in ("", "_lo", "_hi"))]
    return answer(frame.assign(**{name: frame.get(name) for name in integers}).astype(dict.fromkeys(integers, "Int64")))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            row("noopt", 0.1, "slower"),
            "without optimizations it is 10x slower (95% CI 9.09 to 11.1) than with tinygrad's heuristic.",
        ),
        (
            row("noopt", None, "timeout", latency_ms=None),
            "without optimizations its first call did not finish within the budget.",
        ),
        (
            row("beam=4", 1.5),
            "BEAM=4 is 1.5x faster than the heuristic (95% CI 1.35 to 1.65); its search of 25 s has paid off after 900 "
            "calls (800 to 1,000).",
        ),
        (
            row("beam=2", 0.5, "slower"),
            "BEAM=2 is 2x slower (95% CI 1.82 to 2.22) than the heuristic here, and its search took 25 s.",
        ),
        (
            row("beam=2", 1.0, "cannot tell"),
            "BEAM=2 is not significantly faster or slower than the heuristic (ratio 1, 95% CI 0.9 to 1.1), after a "
            "search of 25 s.",
        ),
        (
            row("beam=8", 1.5, "timeout"),
            "The best kernel that BEAM=8 found within 25 s is 1.5x faster than the heuristic (95% CI 1.35 to 1.65).",
        ),
        (
            row("beam=8", 1.5, "timeout", break_even_calls=900),
            "The best kernel that BEAM=8 found within 25 s is 1.5x faster than the heuristic (95% CI 1.35 to 1.65); "
            "the search has paid off after 900 calls.",
        ),
        (
            row("beam=8", None, "timeout", latency_ms=None),
            "BEAM=8 found no kernel within 25 s.",
        ),
        (row("beam=8", None, "failed", latency_ms=None), "The search BEAM=8 failed."),
        (row("beam=1", None, "wrong"), "BEAM=1 gives wrong results."),
    ],
)
def test_the_answer_has_the_result_of_each_variant(one, expected):
    assert said(one) == f"On CPU, matmul a@b at size 512: {expected}"


def test_the_answer_states_that_even_the_heuristic_did_not_finish():
    rows = [row(name, None, "timeout", latency_ms=None) for name in ("noopt", "heuristic", "beam=1")]
    assert answer(pd.DataFrame(rows)) == (
        "On CPU, matmul a@b at size 512 exceeds the budget: even the heuristic's first call did not finish."
    )


def test_the_answer_waits_for_the_heuristic():
    assert answer(pd.DataFrame([row("noopt", 0.1, "slower")])) == ""


def test_a_candidate_that_did_not_run_leaves_the_best_as_it_was():
    from experiments.compiler.beam.experiment import _candidates

    tried = [
        Candidate("k", 0.1, (), None),
        Candidate("k", 0.2, (("UPCAST", 0, 4),), 2e-3),
        Candidate("k", 0.3, (), None),
        Candidate("l", 0.4, (), 5e-3),
    ]
    records = _candidates(SearchResult(Optimization(2), "timeout", 1.0, None, tuple(tried), {}), 64)
    assert [one["candidate_ms"] for one in records] == [None, 2, None, 5]
    assert [one["best_ms"] for one in records] == [None, 2, 2, 5]
    assert [one["kernel"] for one in records] == [1, 1, 1, 2]


@pytest.fixture(scope="module")
def endings():
    """Rows by variant of runs with a search that hangs at its second candidate, wrong results, slow first calls."""
    # without processes that compile the first candidate is timed long before the budget is spent
    return output_of("tests.experiments.compiler.beam.program", "endings", PARALLEL="0")


@pytest.mark.slow
def test_a_search_that_hangs_gives_a_row_with_the_best_so_far_and_the_run_goes_on(endings):
    hung = endings["hanging"]["beam=1"]
    assert (hung["verdict"], hung["candidates"]) == ("timeout", 1)
    assert hung["latency_ms"] > 0
    assert hung["speedup_lo"] <= hung["speedup"] <= hung["speedup_hi"]
    assert hung["search_s"] >= 4
    assert hung.get("first_call_ms") is None
    assert endings["hanging"]["heuristic"]["verdict"] == "baseline"


@pytest.mark.slow
def test_kernels_with_wrong_results_have_the_verdict_wrong_and_no_speedup(endings):
    for values in endings["wrong"].values():
        assert values["verdict"] == "wrong"
        assert values["max_abs_error"] == pytest.approx(1, abs=1e-4)
        assert values.get("speedup") is None
        assert values.get("break_even_calls") is None


def test_a_variant_whose_first_call_takes_too_long_is_not_timed(endings):
    slow = endings["slow noopt"]["noopt"]
    assert (slow["verdict"], slow["note"]) == ("timeout", "the first call had not ended after 4 s")
    assert "latency_ms" not in slow
    assert endings["slow noopt"]["heuristic"]["verdict"] == "baseline"


def test_without_the_heuristics_time_nothing_is_compared_and_every_row_has_a_note(endings):
    assert [(one["verdict"], one["note"]) for one in endings["slow heuristic"].values()] == [
        (None, "the heuristic has no time to be compared with"),
        ("timeout", "the first call had not ended after 4 s"),
        (None, "the heuristic has no time to be compared with"),
    ]


def test_ceilings_are_measured_with_optimized_kernels_whatever_variant_is_profiled(endings):
    assert endings["ceilings"] == [[0, 0]]
