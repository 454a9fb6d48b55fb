import json
import subprocess
import sys

import pandas as pd
import pytest

import experiments
from experiments.bench.columns import VERDICTS
from experiments.bench.errors import BadInput
from experiments.bench.machine.roofline import Ceilings
from experiments.bench.machine.toolchain import child_environment
from experiments.bench.spec import parse
from experiments.machine.ceilings import CeilingsSpec, answer, ceilings

QUICK = ceilings.presets["quick"]


@pytest.fixture(scope="module")
def ran(shared_database):
    """Rows and ceilings of the quick preset, really run once."""
    rows = experiments.run("ceilings", preset="quick", device="CPU", time_limit_s=120)
    return rows, experiments.detail(rows["run_id"].iloc[0], "ceilings")


@pytest.fixture
def rows(ran):
    return ran[0]


@pytest.fixture
def records(ran):
    return [{name: None if pd.isna(cell) else cell for name, cell in one.items()} for one in ran[1].to_dict("records")]


def test_every_copy_and_every_product_is_timed_in_tinygrad_and_in_numpy(rows):
    points = [("copy", size) for size in QUICK.moved_bytes] + [("matmul", size) for size in QUICK.n]
    size = rows["moved_bytes"].fillna(rows["n"])
    assert list(zip(rows["what"], size, rows["variant"], strict=True)) == [
        (*point, by) for point in points for by in ("tinygrad", "numpy")
    ]


def test_a_copy_has_a_rate_of_bytes_and_a_product_one_of_operations(rows):
    copies = rows["what"] == "copy"
    assert (rows["gb_s"].notna() == copies).all()
    assert (rows["gflops"].notna() == ~copies).all()
    assert (rows["gb_s"].fillna(rows["gflops"]) > 0).all()


def test_numpy_is_what_tinygrad_is_compared_with(rows):
    assert set(rows["verdict"]) <= set(VERDICTS)
    assert ((rows["verdict"] == "baseline") == (rows["variant"] == "numpy")).all()


def test_numpys_rate_is_the_work_over_its_latency(rows):
    numpy = rows[rows["variant"] == "numpy"]
    copies, products = numpy[numpy["what"] == "copy"], numpy[numpy["what"] == "matmul"]
    by_hand = copies["moved_bytes"] / copies["latency_ms"] / 1e6
    assert copies["gb_s"].tolist() == pytest.approx(by_hand.tolist())
    by_hand = 2 * products["n"].astype(float) ** 3 / products["latency_ms"] / 1e6
    assert products["gflops"].tolist() == pytest.approx(by_hand.tolist())


def test_the_stored_ceilings_are_an_empty_kernel_then_the_rows_with_a_date(rows, records):
    empty, *records = records
    assert empty["what"] == "empty"
    assert 0 < empty["floor_us"] < 1000
    assert [one["by"] for one in records] == rows["variant"].tolist()
    assert [one["gb_s"] or one["gflops"] for one in records] == rows["gb_s"].fillna(rows["gflops"]).tolist()
    assert all(pd.Timestamp(one["measured"]) <= pd.Timestamp.now("UTC").tz_localize(None) for one in records)


def test_the_stored_ceilings_are_enough_for_a_roofline(rows, records):
    known = Ceilings.of(records)
    assert known is not None
    assert [size for size, _ in known.copies] == sorted(QUICK.moved_bytes)
    assert known.gflops == rows["gflops"].max()


def test_the_answer_of_a_real_run_names_the_best_copy_and_product(rows):
    said = answer(rows)
    assert said.startswith(f"CPU copies {rows['gb_s'].max():.3g} GB/s at best (")
    assert f"multiplies float32 matrices at {rows['gflops'].max():.4g} GFLOP/s (" in said


def row(variant, **values):
    what = "copy" if "gb_s" in values else "matmul"
    return {"device": "CPU", "variant": variant, "what": what, "moved_bytes": None, "n": None} | values


def frame(*made):
    numbers = {"gb_s": "Float64", "gflops": "Float64", "moved_bytes": "Int64"}
    empty = pd.DataFrame(columns=["device", "variant", "what", *numbers])
    return pd.concat([empty, pd.DataFrame(made)]).astype(numbers)


COPIES = [row("tinygrad", moved_bytes=2**20, gb_s=90.0), row("numpy", moved_bytes=2**28, gb_s=12.5)]
SLOW_COPY, PRODUCT = row("tinygrad", moved_bytes=2**28, gb_s=9.0), row("numpy", n=600, gflops=101.24)


def test_the_answer_separates_cache_from_memory_and_names_the_library():
    assert answer(frame(*COPIES, SLOW_COPY, PRODUCT)) == (
        "CPU copies 90 GB/s at best (tinygrad) and 12.5 GB/s at the largest size (numpy), "
        "and multiplies float32 matrices at 101.2 GFLOP/s (numpy)."
    )


@pytest.mark.parametrize("made", [[], COPIES, [PRODUCT]])
def test_without_a_copy_or_without_a_product_there_is_no_answer(made):
    assert answer(frame(*made)) == ""


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"n": "0"}, "n: 0 is not allowed; give integers from 16 to 16384, at most 8 of them, separated by commas"),
        ({"n": ""}, "n: nothing is not allowed; give integers from 16 to 16384"),
        ({"moved_bytes": "1"}, "moved_bytes: 1 is not allowed; give integers from 1024 to 8589934592, at most 16"),
        ({"moved_bytes": "1e99"}, "moved_bytes: 1e99 is not allowed; give integers from 1024 to 8589934592"),
        ({"moved_bytes": ",".join(["1024"] * 17)}, "moved_bytes: 1024,1024,"),
    ],
)
def test_out_of_bounds_values_are_rejected_in_one_line(given, problem):
    with pytest.raises(BadInput) as refused:
        parse(CeilingsSpec, given)
    [said] = refused.value.problems
    assert said.startswith(problem)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("given", "need"),
    [  # source and result of tinygrad and of numpy; or three matrices of either
        ({"moved_bytes": [2**30, 2**20], "n": [16]}, 2 * 2**30),
        ({"moved_bytes": [2**10], "n": [1000, 16]}, 2 * 3 * 4 * 1000**2),
    ],
)
def test_the_need_is_that_of_the_largest_copy_or_product(given, need):
    assert CeilingsSpec(**given).need().bytes == need


SLOW_DEVICE = """
import json
from experiments.bench.machine.ceilings import quick_ceilings
print(json.dumps(list(quick_ceilings("PYTHON"))))
"""


@pytest.mark.slow
def test_the_emulator_in_python_has_quick_ceilings_too():
    command = [sys.executable, "-c", SLOW_DEVICE]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("PYTHON"), check=True)
    records = json.loads(done.stdout)
    assert {one["by"] for one in records} == {"tinygrad"}
    assert Ceilings.of(records) is not None
