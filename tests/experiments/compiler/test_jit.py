import pandas as pd
import pytest

import experiments
from experiments.bench.columns import VERDICTS, check_record
from experiments.bench.errors import BadInput
from experiments.bench.session import timed_row
from experiments.bench.spec import parse
from experiments.bench.timing.measure import Comparison, Timing
from experiments.compiler.jit import ATOL, MODELS, RTOL, JitSpec, answer, jit
from tests.experiments.compiler.program_tools import output_of

QUICK = jit.presets["quick"]


@pytest.fixture(scope="module")
def ran(shared_database):
    """Rows and timeline of a real run of the quick preset."""
    rows = experiments.run("jit", preset="quick", device="CPU", time_limit_s=120)
    return rows, experiments.detail(rows["run_id"].iloc[0], "timeline")


@pytest.fixture
def rows(ran):
    return ran[0]


@pytest.fixture
def captured(rows):
    return rows[rows["variant"] == "jit"]


@pytest.fixture
def timeline(ran):
    return ran[1]


def test_every_grid_point_has_a_row_per_variant(rows):
    assert [tuple(row) for row in rows[["batch", "variant"]].to_numpy()] == [
        (16, "eager"),
        (16, "jit"),
        (64, "eager"),
        (64, "jit"),
    ]
    assert rows["size"].isna().all()


def test_every_row_has_a_verdict(rows):
    assert set(rows["verdict"]) <= set(VERDICTS)
    assert (rows["verdict"] == "baseline").equals(rows["variant"] == "eager")


def test_only_the_jit_has_a_speedup_and_it_has_an_interval(rows, captured):
    assert rows.loc[rows["variant"] == "eager", "speedup"].isna().all()
    assert (captured["speedup_lo"] <= captured["speedup"]).all()
    assert (captured["speedup"] <= captured["speedup_hi"]).all()


def test_every_latency_has_an_interval_of_at_least_twelve_blocks(rows):
    assert (rows["latency_lo_ms"] <= rows["latency_ms"]).all()
    assert (rows["latency_ms"] <= rows["latency_hi_ms"]).all()
    assert (rows["samples"] >= 12).all()


def test_the_control_of_a_grid_point_stands_in_all_its_rows(rows):
    assert rows.groupby("batch")[["control_lo", "control_hi"]].nunique().eq(1).all(axis=None)


def test_the_results_are_correct(rows):
    assert (rows["max_abs_error"] < ATOL + RTOL).all()  # the outputs are of the order of one


def test_three_layers_are_three_kernels_of_the_same_work(rows):
    assert (rows["kernels"] == 3).all()
    assert rows.groupby("batch")[["ops", "bytes"]].nunique().eq(1).all(axis=None)
    assert rows["gflops"].gt(0).all()


def test_a_second_shape_costs_a_second_capture(rows, captured):
    assert captured["captures"].tolist() == [1, 2]
    assert rows.loc[rows["variant"] == "eager", "captures"].isna().all()


def test_the_cold_costs_are_those_of_the_timeline(rows, timeline):
    first = timeline[timeline["call"] == 1].set_index(["batch", "variant"])["call_ms"]
    assert rows.set_index(["batch", "variant"])["first_call_ms"].to_dict() == pytest.approx(first.to_dict())
    assert rows.loc[rows["variant"] == "eager", "capture_ms"].isna().all()


def test_the_timeline_has_every_first_call_of_every_variant_and_point(timeline):
    assert len(timeline) == QUICK.calls * 2 * len(QUICK.grid)
    assert timeline.groupby(["batch", "variant"])["call"].apply(list).map(len).eq(QUICK.calls).all()
    assert timeline["call_ms"].gt(0).all()


@pytest.mark.parametrize(
    ("variant", "phases"), [("eager", ["eager"] * 5), ("jit", ["eager", "capture", "replay", "replay", "replay"])]
)
def test_the_timeline_names_the_phase_of_every_call(timeline, variant, phases):
    for _, calls in timeline[timeline["variant"] == variant].groupby("batch"):
        assert calls.sort_values("call")["phase"].tolist() == phases


def test_break_even_is_where_the_measured_curves_cross_after_the_shared_first_call(rows, captured, timeline):
    calls = timeline.sort_values("call").groupby(["batch", "variant"])["call_ms"].apply(list)
    steady = rows.set_index(["batch", "variant"])["latency_ms"]
    for batch, expected in captured.set_index("batch")["break_even_calls"].items():
        behind, since = 0.0, pd.NA
        for n in range(1, 5000):
            eager, replayed = [
                calls[batch, name][n] if n < QUICK.calls else steady[batch, name] for name in ("eager", "jit")
            ]
            behind += replayed - eager
            since = pd.NA if behind > 0 else n + 1 if since is pd.NA else since
        assert expected is since or expected == since


def test_the_answer_of_a_real_run_names_both_grid_points(rows):
    said = answer(rows)
    assert said.startswith("On CPU, the JIT ")
    assert "at batch 16" in said
    assert "at batch 64" in said


@pytest.mark.parametrize(
    ("given", "grid"),
    [
        ({"model": "mlp3", "batch": [4, 2], "size": [9]}, [{"batch": 4}, {"batch": 2}]),
        ({"model": "tiny_layers", "batch": [8]}, [{"batch": 8}]),
        ({"model": "elementwise", "batch": [4], "size": [9, 5]}, [{"size": 9}, {"size": 5}]),
        ({"model": "matmul_chain", "size": [7, 7, 3, 7]}, [{"size": 7}, {"size": 3}]),
    ],
)
def test_the_grid_is_the_axis_of_the_model_each_point_once(given, grid):
    spec = JitSpec(**given)
    assert spec.grid == grid
    assert [spec.n_of(point) for point in grid] == [next(iter(point.values())) for point in grid]


@pytest.mark.parametrize(
    ("given", "need", "what"),
    [  # float32 inputs and outputs and their float64 twins: 12 bytes a number
        ({"model": "elementwise", "size": [100, 1000]}, 12 * 4 * 1000**2, "matrices of 1000x1000 and their reference"),
        ({"model": "matmul_chain", "size": [10]}, 12 * 4 * 10**2, "matrices of 10x10 and their reference"),
        ({"batch": [2, 1], "widths": [4, 3, 2, 1]}, 12 * (2 * 10 + 20), "a network 4,3,2,1 at batch 2"),
        ({"model": "tiny_layers", "batch": [5]}, 24 * 5 * 32, "12 layers at batch 5"),
    ],
)
def test_the_need_is_that_of_the_largest_point(given, need, what):
    assert (JitSpec(**given).need().bytes, JitSpec(**given).need().what) == (need, what)


def test_the_largest_network_asks_for_more_than_its_weights():
    widest = JitSpec(widths=[16384] * 4, batch=[1])
    assert widest.need().bytes > 3 * 16384**2 * (4 + 8)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"model": "rnn"}, "model"),
        ({"batch": "0"}, "batch"),
        ({"batch": "65537"}, "batch"),
        ({"batch": ""}, "batch"),
        ({"size": "8193"}, "size"),
        ({"widths": "784,10"}, "widths"),
        ({"calls": "2"}, "calls"),
    ],
)
def test_out_of_bounds_values_are_rejected(given, field):
    with pytest.raises(BadInput, match=f"^{field}: "):
        parse(JitSpec, given)


def row(**changes):
    return {
        "device": "CPU",
        "variant": "jit",
        "model": "mlp3",
        "batch": 16,
        "speedup": 4.0,
        "speedup_lo": 3.9,
        "speedup_hi": 4.1,
        "verdict": "faster",
        "break_even_calls": 14,
        "bound": None,
        "kernels": 3,
    } | changes


WRONG_RESULT = {"verdict": "wrong", "speedup": None, "speedup_lo": None, "speedup_hi": None, "break_even_calls": None}
EAGER = row(variant="eager", verdict="baseline", speedup=None, break_even_calls=None)


def said(*rows):
    return answer(
        pd.DataFrame([EAGER, *rows]).astype({"break_even_calls": "Int64", "kernels": "Int64", "speedup": float})
    )


@pytest.mark.parametrize(
    ("changes", "begins", "ends"),
    [
        ({}, "makes the 3-layer network 4x faster (95% CI 3.9 to 4.1)", "has paid off after 14 calls."),
        (
            {"verdict": "slower", "speedup": 0.5, "speedup_lo": 0.4, "speedup_hi": 0.6, "break_even_calls": None},
            "makes the 3-layer network 2x slower (ratio 0.5, 95% CI 0.4 to 0.6)",
            "never pays off.",
        ),
        (
            {"verdict": "cannot tell", "speedup": 1.01, "speedup_lo": 0.98, "speedup_hi": 1.03},
            "makes no significant difference to the 3-layer network (ratio 1.01, 95% CI 0.98 to 1.03)",
            "has paid off after 14 calls.",
        ),
    ],
)
def test_the_answer_claims_what_the_verdict_allows(changes, begins, ends):
    assert said(row(**changes)) == f"On CPU, the JIT {begins} at batch 16; its capture {ends}"


def test_the_answer_to_a_wrong_result_promises_nothing():
    assert said(row(**WRONG_RESULT)) == "On CPU, the JIT computes the 3-layer network incorrectly at batch 16."


def test_a_wrong_point_does_not_change_the_break_even_of_the_others():
    assert said(row(), row(batch=32, **WRONG_RESULT)) == (
        "On CPU, the JIT makes the 3-layer network 4x faster (95% CI 3.9 to 4.1) at batch 16 "
        "and computes it incorrectly at batch 32; its capture has paid off after 14 calls."
    )


def test_the_answer_gives_the_reason_of_the_first_point():
    why = {"bound": "launch", "launch_share": 0.9, "kernel_ms": 0.006}
    assert said(row(**why), row(batch=32, bound="compute", roof_fraction=0.5)) == (
        "On CPU, the JIT makes the 3-layer network 4x faster (95% CI 3.9 to 4.1) at batch 16 "
        "(90% of that call is launch overhead: 3 kernels of 2 µs each) "
        "and makes it 4x faster (95% CI 3.9 to 4.1) at batch 32; its capture has paid off after 14 calls."
    )


def test_a_wrong_result_has_no_reason():
    assert "roof" not in said(row(bound="compute", roof_fraction=0.5, **WRONG_RESULT))


def test_the_answer_names_the_first_and_the_last_point():
    last = row(batch=64, speedup=2.0, speedup_lo=1.9, speedup_hi=2.1, break_even_calls=9)
    assert said(row(), row(batch=32), last) == (
        "On CPU, the JIT makes the 3-layer network 4x faster (95% CI 3.9 to 4.1) at batch 16 "
        "and makes it 2x faster (95% CI 1.9 to 2.1) at batch 64; its capture has paid off after 9 to 14 calls."
    )


def test_the_answer_names_the_points_where_a_capture_does_not_pay():
    assert said(row(), row(batch=32, break_even_calls=None)).endswith("its capture does not always pay off.")


def test_the_answer_writes_a_matrix_as_its_shape():
    frame = pd.DataFrame([row(model="elementwise", size=1000)]).drop(columns="batch")
    assert "faster (95% CI 3.9 to 4.1) at 1000x1000;" in answer(frame)


def test_there_is_no_answer_before_the_first_row_of_the_jit():
    assert said() == ""


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_name_for_the_answer(name):
    assert f"the {MODELS[name]} " in said(row(model=name, size=9))


@pytest.mark.slow
def test_a_function_with_a_wrong_result_has_the_verdict_wrong_and_no_speedup():
    for values in output_of("tests.experiments.compiler.jit_program"):
        assert values["verdict"] == "wrong"
        assert values["max_abs_error"] == pytest.approx(1, abs=1e-5)
        assert values.get("speedup") is None
        assert values.get("break_even_calls") is None


def test_a_row_of_the_jit_keeps_to_the_declared_columns():
    one = Comparison("eager", {"eager": Timing(1, [2.0] * 12), "jit": Timing(1, [1.0] * 12)}, Timing(1, [2.0] * 12))
    jit.check_row(timed_row(one, "jit", model="mlp3", batch=16, captures=1, max_abs_error=0.0))
    check_record({"variant": "jit", "batch": 16, "call": 1, "phase": "eager", "call_ms": 1.0}, jit.details["timeline"])
