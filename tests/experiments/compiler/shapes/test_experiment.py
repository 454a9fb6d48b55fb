"""Shape specialization: a real run of the quick preset, shapes, buckets and streams, the text of the answer."""

from collections import Counter

import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.spec import parse
from experiments.compiler.shapes.experiment import ATOL, RTOL, answer, shapes
from experiments.compiler.shapes.spec import STRATEGIES, ShapesSpec, zipf_stream
from experiments.compiler.shapes.streams import costs, median_round, rounds_won

QUICK = shapes.presets["quick"]
COURSE = shapes.presets["course"]


@pytest.fixture(scope="module")
def ran(shared_database):
    rows = experiments.run("shapes", preset="quick", device="CPU", time_limit_s=120)
    return rows, experiments.detail(rows["run_id"].iloc[0], "stream")


@pytest.fixture
def rows(ran):
    return ran[0]


@pytest.fixture
def called(ran):
    return ran[1]


def test_every_shape_has_a_row_per_strategy(rows):
    assert [tuple(row) for row in rows[["shape", "variant"]].to_numpy()] == [
        (shape, variant) for shape in QUICK.shapes for variant in STRATEGIES
    ]


def test_the_results_are_right_symbolic_and_padded_too(rows):
    assert (rows["max_abs_error"] < ATOL + 10 * RTOL).all()
    assert set(rows["verdict"]) <= {"baseline", "faster", "slower", "cannot tell"}


def test_the_captures_of_the_stream_are_one_per_shape_one_in_all_and_one_per_bucket(rows):
    captures = rows.groupby("variant")["captures"].sum().to_dict()
    assert captures == {"eager": 0, "one jit per shape": 4, "symbolic batch": 1, "pad to bucket": 2}


def test_the_kernels_compiled_are_those_of_every_program(rows):
    kernels = rows.groupby("variant")["cached_programs"].sum().to_dict()  # the network has two kernels
    assert kernels == {"eager": 8, "one jit per shape": 8, "symbolic batch": 2, "pad to bucket": 4}
    assert (rows["compile_ms"] > 0).equals(rows["cached_programs"] > 0)


def test_padding_wastes_the_rows_up_to_the_bucket(rows):
    padded = rows[rows["variant"] == "pad to bucket"].set_index("shape")["wasted_fraction"].to_dict()
    assert padded == {"1x64": 0.5, "4x64": 0.0, "2x64": 0.0, "3x64": 0.25}
    assert (rows.loc[rows["variant"] != "pad to bucket", "wasted_fraction"] == 0).all()


def test_every_strategy_is_called_in_the_same_order(called):
    wanted = ["x".join(map(str, shape)) for shape in QUICK.sequence]
    for _, calls in called.groupby("variant"):
        assert calls["call"].tolist() == list(range(1, QUICK.calls + 1))
        assert calls["called_shape"].tolist() == wanted


def test_what_the_shapes_cost_adds_up_to_the_stream(rows, called):
    assert rows.groupby("variant")["stream_ms"].sum().to_dict() == pytest.approx(
        called.groupby("variant")["call_ms"].sum().to_dict()
    )
    assert (rows.groupby("variant")["calls"].sum() == QUICK.calls).all()
    assert (called.groupby("variant")["captures_so_far"].last() == rows.groupby("variant")["captures"].sum()).all()


def test_the_quick_preset_runs_the_stream_once(rows, called):
    assert (called["round"] == 1).all()
    assert (rows["rounds"] == 1).all()
    assert rows.drop_duplicates("variant")["rounds_won"].sum() == 1


def test_the_cache_only_grows_and_compiling_is_a_part_of_the_call(called):
    assert called.groupby("variant")["programs_so_far"].agg(lambda one: one.is_monotonic_increasing).all()
    assert (called["compiling_ms"] <= called["call_ms"]).all()


def test_at_most_one_strategy_is_the_fastest_at_a_shape(rows):
    assert (rows.groupby("shape")["fastest"].sum() <= 1).all()


def test_symbolic_kernels_are_counted_at_the_size_of_the_call(rows):
    ops = rows[rows["variant"].isin(["one jit per shape", "symbolic batch"])].groupby("shape")["ops"]
    assert (ops.nunique() == 1).all()
    assert rows["bound"].notna().all()


def test_the_answer_of_a_real_run_names_the_best_strategy(rows):
    totals = rows.groupby("variant")["stream_ms"].sum()
    assert answer(rows).startswith(
        f"On CPU, {totals.idxmin()} is the best strategy for this stream of 24 calls with 4 "
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shapes": "1x784,banana"}, "shapes: banana is not a shape; give sizes from 1 to 8192 joined by x"),
        ({"shapes": "1x784,0x784"}, "shapes: 0x784 is not a shape; "),
        ({"shapes": "1x784,1X784"}, "shapes: 1x784 alone is not allowed; give at least two different shapes"),
        (
            {"shapes": "1x784,2x100"},
            "shapes: 2x100 is not allowed with 1x784: the weight requires the same",
        ),
        ({"shapes": "1x784,2x784x3"}, "shapes: 2x784x3 is not allowed for mlp; give batch x features"),
        (
            {"operation": "conv2d", "shapes": "1x3x8x8,1x3x2x8"},
            "shapes: 1x3x2x8 is not allowed; height and width must be at least 3",
        ),
        ({"buckets": "8,4,32"}, "buckets: 8,4,32 is not allowed: 4 follows 8; give ascending sizes"),
        ({"buckets": "8,12,32"}, "buckets: 8,12,32 is not allowed: 12 is not a multiple of 8; "),
        ({"buckets": "4,16"}, "buckets: 4,16 is not allowed: no bucket holds batch 32; "),
        ({"buckets": "x"}, "buckets: x is not allowed; give integers from 1 to 8192"),
        ({"calls": "1"}, "calls: 1 is not allowed; give an integer from 4 to 2000"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(ShapesSpec, given)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(said)


def test_the_refusal_shows_the_memory_that_is_needed_and_how_it_is_computed():
    need = ShapesSpec(operation="matmul", shapes=["1x100", "3x100"], buckets=[4]).need()
    assert need.bytes == 48 * 2 * (400 + 400) + 24 * 100**2
    assert need.what == "2 shapes padded to batch 4, the largest 4x100, four ways"


def test_the_course_preset_has_the_courses_shapes():
    assert (COURSE.operation, COURSE.shapes) == ("conv2d", ["1x3x32x32", "1x3x64x64", "2x3x32x32"])


def test_the_stream_is_seeded_and_its_first_shape_the_most_frequent():
    three = [(1, 8), (2, 8), (3, 8)]
    calls = zipf_stream(three, 600, exponent=1.0, seed=3)
    assert calls == zipf_stream(three, 600, exponent=1.0, seed=3)
    assert calls != zipf_stream(three, 600, exponent=1.0, seed=4)
    counted = Counter(calls)
    assert [round(counted[shape] / 600, 1) for shape in three] == [0.5, 0.3, 0.2]  # 6/11, 3/11, 2/11


def stream_of(*milliseconds):
    return [{"call_ms": one} for one in milliseconds]


def test_the_usual_round_is_that_of_the_median_total():
    rounds = [stream_of(1, 9), stream_of(5, 1), stream_of(7, 0)]
    assert median_round(rounds) == stream_of(7, 0)
    assert median_round(rounds[:2]) == stream_of(5, 1)


def test_a_round_is_won_by_the_stream_that_took_least():
    assert rounds_won({"a": [stream_of(1, 2), stream_of(5)], "b": [stream_of(4), stream_of(1, 1)]}) == {"a": 1, "b": 1}


def test_costs_are_those_of_one_shapes_calls():
    calls = [
        {"called_shape": "1x8", "call_ms": 5.0, "compiling_ms": 4.0, "captures_so_far": 0, "programs_so_far": 2},
        {"called_shape": "2x8", "call_ms": 7.0, "compiling_ms": 6.0, "captures_so_far": 0, "programs_so_far": 3},
        {"called_shape": "1x8", "call_ms": 2.0, "compiling_ms": 0.0, "captures_so_far": 1, "programs_so_far": 3},
    ]
    once = {"calls": 2, "stream_ms": 7.0, "captures": 1, "compile_ms": 4.0, "cached_programs": 2}
    assert costs(calls, "1x8") == once
    assert costs(calls, "9x8") == dict.fromkeys(once, 0)


def told(wrong=(), rounds=3):
    """Two shapes; the symbolic batch is through first, one JIT per shape takes least once compiled."""
    totals = {"eager": (900, 8.0), "one jit per shape": (800, 0.1), "symbolic batch": (300, 0.4)}
    totals["pad to bucket"] = (500, 0.2)
    return pd.DataFrame(
        [
            {
                "device": "CPU",
                "shape": shape,
                "variant": variant,
                "calls": 5,
                "stream_ms": stream_ms,
                "latency_ms": latency_ms,
                "captures": 1,
                "compile_ms": 250.0,
                "rounds": rounds,
                "rounds_won": 2 if variant == "symbolic batch" else 0,
                "fastest": variant == "one jit per shape" and shape == "1x8",
                "verdict": "wrong" if variant in wrong else "faster",
            }
            for shape in ("1x8", "2x8")
            for variant, (stream_ms, latency_ms) in totals.items()
        ]
    )


def test_the_answer_names_the_best_with_compilation_and_once_compiled():
    assert answer(told()) == (
        "On CPU, symbolic batch is the best strategy for this stream of 10 calls with 2 shapes: from a cold start "
        "it takes 0.6 s, the fastest in 2 of 3 rounds (pad to bucket 1 s, one jit per shape 1.6 s, eager 1.8 s). One "
        "JIT per shape captures 2 programs and spends 0.5 s on compilation. Once everything is compiled, one jit per "
        "shape is fastest, 0.1 ms a call, significantly at 1 of the 2 shapes."
    )


def test_the_answer_names_the_strategies_whose_stream_was_run_once():
    assert "from a cold start it takes 0.6 s, measured once (" in answer(told(rounds=1))


def test_a_wrong_strategy_is_never_the_best():
    said = answer(told(wrong=["symbolic batch"]))
    assert said.startswith("On CPU, pad to bucket is the best strategy")
    assert said.endswith(" Symbolic batch gives wrong results.")


def test_there_is_no_answer_before_the_second_shape():
    assert answer(told().query("shape == '1x8'")) == ""
