import pandas as pd
import pytest

import experiments
from experiments.bench.errors import BadInput
from experiments.bench.machine import devices
from experiments.bench.spec import parse
from experiments.compiler.memory.access_patterns import PATTERNS
from experiments.compiler.memory.experiment import MemorySpec, answer, memory
from experiments.runs import jobs
from tests.experiments.compiler.program_tools import output_of

QUICK = memory.presets["quick"]


@pytest.fixture(scope="module")
def ran(shared_database):
    """Rows and kernels of the quick preset, really run once."""
    rows = experiments.run("memory", preset="quick", device="CPU", time_limit_s=150)
    return rows.set_index("variant"), experiments.detail(rows["run_id"].iloc[0], "kernels")


@pytest.fixture
def rows(ran):
    return ran[0]


def test_every_pattern_has_a_row_and_the_copy_is_the_baseline(rows):
    assert rows.index.tolist() == ["copy", "row sum", "column sum", "transpose"]
    assert rows["verdict"].fillna("").tolist() == ["baseline", "", "", ""]
    assert (rows["baseline"] == "copy").all()
    assert "speedup" not in rows


def test_the_results_are_correct(rows):
    assert rows["max_abs_error"].between(0, 1e-2).all()
    assert rows.loc["transpose", "max_abs_error"] == 0


def test_rates_are_of_useful_bytes_over_the_time_of_the_kernels(rows):
    shape = (QUICK.rows, QUICK.columns[0])
    assert rows["useful_bytes"].tolist() == [PATTERNS[name].useful_bytes(shape) for name in QUICK.names]
    assert rows["gb_s"].tolist() == pytest.approx((rows["useful_bytes"] / rows["kernel_ms"] / 1e6).tolist())
    assert ((rows["kernel_lo_ms"] <= rows["kernel_ms"]) & (rows["kernel_ms"] <= rows["kernel_hi_ms"])).all()


def test_fractions_of_the_copy_have_intervals_and_the_copy_is_one(rows):
    assert rows.loc["copy", "fraction_of_copy"] == 1
    others = rows.drop(index="copy")
    low, middle, high = (others[f"fraction_of_copy{end}"] for end in ("_lo", "", "_hi"))
    assert ((low > 0) & (low <= middle) & (middle <= high)).all()


def test_every_row_has_an_explanation_with_its_distances(rows):
    assert rows["why"].str.len().gt(20).all()
    assert "8,192 bytes apart" in rows.loc["column sum", "why"]


def test_the_kernels_are_stored_with_their_source(ran):
    kernels = ran[1]
    assert set(kernels["variant"]) == set(ran[0].index)
    assert kernels["source"].str.contains("for").all()


def test_the_answer_of_a_real_run_names_every_pattern(ran):
    said = answer(ran[0].reset_index())
    assert said.startswith("On CPU, a copy of 2048x2048 float32 moves ")
    assert all(f"{name} reaches " in said for name in ("row sum", "column sum", "transpose"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rows": "0"}, "rows: 0 is not allowed; give an integer from 1 to 65536"),
        ({"columns": "65537"}, "columns: 65537 is not allowed"),
        ({"columns": ""}, "columns: nothing is not allowed"),
        ({"patterns": "diagonal"}, "patterns: diagonal is not allowed; give any of copy, row_sum"),
    ],
)
def test_bad_input_is_rejected_in_one_line(given, said):
    with pytest.raises(BadInput) as refused:
        parse(MemorySpec, given)
    (problem,) = refused.value.problems
    assert problem.startswith(said)


def test_a_matrix_that_does_not_fit_is_rejected_beforehand_with_the_arithmetic(any_device, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda device: 10**9)
    with pytest.raises(BadInput) as refused:
        jobs.check("memory", MemorySpec(device="CPU", rows=65536, columns=[65536, 8], patterns=["transpose"]), 60)
    (problem,) = refused.value.problems
    assert problem == (
        "too large: 2 patterns over 65536x65536 float32 (34.4 GB the matrix in numpy and on the device + 68.7 GB "
        "inputs and results + 103.1 GB a check in float64) needs 206.2 GB; CPU has 1.0 GB free"
    )


def test_a_pattern_given_twice_is_measured_once_and_the_copy_always():
    assert MemorySpec(patterns=["flip", "row_sum", "flip"]).names == ["copy", "flip", "row_sum"]


def test_the_power_of_two_preset_stands_around_one_and_has_both_matmuls():
    trap = memory.presets["power_of_two"]
    assert min(trap.columns) < 1024 < max(trap.columns)
    assert 1024 in trap.columns
    assert {"matmul", "matmul_transposed"} <= set(trap.patterns)


def row(variant, fraction=None, columns=64, **changes):
    interval = {f"fraction_of_copy{end}": fraction and fraction * by for end, by in (("_lo", 0.9), ("_hi", 1.1))}
    same = {"device": "CPU", "variant": variant, "rows": 32, "columns": columns, "gb_s": 10.0, "gflops": None}
    return {**same, "fraction_of_copy": fraction, **interval, "verdict": None, "why": "it strides", **changes}


COPY = row("copy", 1.0, verdict="baseline", fraction_of_copy_lo=None, fraction_of_copy_hi=None)


def said(*rows):
    return answer(pd.DataFrame([COPY, *rows]))


def test_the_answer_orders_the_patterns_and_explains_the_slowest():
    assert said(row("row sum", 0.8), row("transpose", 0.05)) == (
        "On CPU, a copy of 32x64 float32 moves 10 GB/s. Relative to that, transpose reaches 5% (95% interval 4.5 to "
        "5.5%), row sum reaches 80% (95% interval 72 to 88%). Reason for transpose: it strides."
    )


def test_the_answer_names_the_slowest_and_the_range_of_the_others():
    whole = said(*(row(name, 0.6 + number / 10) for number, name in enumerate("abcdef")))
    assert "d reaches 90% (95% interval 81 to 99%), 2 others reach 100 to 110%." in whole
    assert "e reaches" not in whole


def test_the_answer_gives_no_reason_where_no_pattern_is_slow():
    assert "Reason" not in said(row("row sum", 0.8))


def test_the_answer_names_the_shape_at_which_a_pattern_is_slowest():
    whole = said(row("transpose", 0.02), row("transpose", 0.2, 65))
    assert "Relative to that, transpose reaches 2% (95% interval 1.8 to 2.2%) at 64 columns." in whole
    assert "20%" not in whole


def test_the_answer_names_a_wrong_result_without_a_rate():
    assert said(row("flip", verdict="wrong", gb_s=None)).endswith(" flip gives wrong results.")


def test_the_answer_compares_the_matmuls_column_counts():
    products = [row("matmul", columns=n, gflops=rate) for n, rate in ((63, 20.0), (64, 5.0))]
    other = row("matmul transposed", columns=64, gflops=25.0)
    assert said(*products, other).endswith(
        " The matmul reaches 20 GFLOP/s at 63 columns and 5 at 64 (25 with its second operand transposed)."
    )


@pytest.fixture(scope="module")
def program():
    return output_of("tests.experiments.compiler.memory.program")


def test_a_pattern_with_a_wrong_result_has_the_verdict_wrong_and_no_rate(program):
    copy, flip = program["wrong"]
    assert (copy["verdict"], flip["verdict"]) == ("baseline", "wrong")
    assert flip["max_abs_error"] > 0.1
    assert "gb_s" not in flip
    assert "fraction_of_copy" not in flip


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_gives_the_numpy_result(program, name):
    error, allowed, _ = program["patterns"][name]
    assert error <= allowed


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("transpose", [50, 36]),
        ("strided_rows", [3, 50]),
        ("strided_columns", [36, 4]),
        ("matmul", [50, 50]),
        ("gather_random", [450]),
    ],
)
def test_the_result_of_a_pattern_has_its_shape(program, name, shape):
    assert program["patterns"][name][2] == shape
