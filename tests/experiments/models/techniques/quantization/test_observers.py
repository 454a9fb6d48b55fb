"""Observers on histograms whose best range is known."""

import numpy as np
import pytest

from experiments.models.techniques.quantization.observers import (
    BINS,
    Histogram,
    choose_range,
    histogram,
    quantization_error,
    sqnr_db,
)
from experiments.models.techniques.quantization.spec import OBSERVERS


def seen(*values: np.ndarray) -> Histogram:
    return histogram("x", values)


UNIFORM = seen(np.linspace(0, 1, 100_000))
NORMAL = seen(np.random.default_rng(1).standard_normal(200_000))
OUTLIER = seen(np.append(np.linspace(0, 1, 9_999), 20.0))  # one of 10,000 lies far out


def test_a_histogram_counts_every_value_and_holds_zero():
    found = seen(np.array([1.0, 3.0]), np.array([4.0]))
    assert (found.lo, found.hi, found.counts.sum()) == (0, 4, 3)
    assert found.counts[[512, 1536, BINS - 1]].tolist() == [1, 1, 1]
    assert found.coarser(4).counts.tolist() == [0, 1, 0, 2]
    with pytest.raises(ValueError, match="bins: 3 does not divide 2048"):
        found.coarser(3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.0, 0.0], "x is 0 everywhere, so it has no range to quantize"),
        ([1.0, np.nan], "x contains NaN or infinity"),
        ([1.0, np.inf], "x contains NaN or infinity"),
    ],
)
def test_values_without_a_range_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        seen(np.array(values))


def test_a_constant_has_a_range_since_every_range_holds_zero():
    constant = seen(np.full(100, -3.0))
    assert (constant.lo, constant.hi) == (-3, 0)
    assert choose_range("minmax", constant, 8, True) == (-3, 0)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_evenly_spread_values_are_hardly_clipped(observer):
    lo, hi = choose_range(observer, UNIFORM, 8, True)
    assert (lo, hi) == (0, pytest.approx(1, abs=0.02))


@pytest.mark.parametrize("observer", [one for one in OBSERVERS if one != "minmax"])
def test_a_lonely_outlier_is_clipped(observer):
    # percentile: 99.9% lie below 1; entropy tries no fewer than 256 bins of 20/2048
    # mse: at 4 bits steps of 20/15 for all cost more than the one value that is off by 19; at 8 bits they do not
    most = {"percentile": 1.05, "mse": 5.0, "entropy": 5.0}[observer]
    _, hi = choose_range(observer, OUTLIER, 4 if observer == "mse" else 8, True)
    assert hi <= most
    assert choose_range("minmax", OUTLIER, 8, True) == (0, 20)


def test_the_percentile_keeps_its_share():
    assert choose_range("percentile", UNIFORM, 8, True, 0.9) == (0, pytest.approx(0.9, abs=1e-3))
    lo, hi = choose_range("percentile", NORMAL, 8, True, 0.95)
    assert (lo, hi) == (pytest.approx(-1.96, abs=0.03), pytest.approx(1.96, abs=0.03))


@pytest.mark.parametrize(("bits", "best"), [(2, 1.22), (3, 1.95), (4, 2.47)])
def test_mse_finds_the_known_optimum_for_normal_values(bits, best):
    # 2^bits - 1 levels with a zero: the least squares clipping of a normal distribution, by numerical integration
    assert choose_range("mse", NORMAL, bits, True)[1] == pytest.approx(exact_clipping(bits), rel=0.06)
    assert exact_clipping(bits) == pytest.approx(best, abs=0.01)


def exact_clipping(bits: int) -> float:
    x = np.linspace(-8, 8, 40_001)
    density, high = np.exp(-(x**2) / 2), 2 ** (bits - 1) - 1
    tried = np.linspace(0.3, 5, 471)
    errors = [(density * (x - np.clip(np.rint(x / top * high), -high, high) * top / high) ** 2).sum() for top in tried]
    return float(tried[int(np.argmin(errors))])


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("found", [NORMAL, UNIFORM, OUTLIER])
def test_no_observer_has_less_squared_error_than_mse(bits, found):
    errors = {one: quantization_error(found, choose_range(one, found, bits, True), bits, True).mse for one in OBSERVERS}
    # mse tries a hundred ranges, others may fall between two of them
    assert errors["mse"] <= min(errors.values()) * 1.05


def test_entropy_keeps_the_bulk_of_normal_values():
    lo, hi = choose_range("entropy", NORMAL, 8, True)
    assert (lo, hi) == (pytest.approx(-hi), pytest.approx(3.8, abs=0.9))


def test_entropy_takes_piled_up_zeros_for_no_reason_to_clip():
    half = np.abs(np.random.default_rng(2).standard_normal(100_000))
    plain = choose_range("entropy", seen(half), 8, True)[1]
    piled = choose_range("entropy", seen(half, np.zeros(900_000)), 8, True)[1]
    assert piled == pytest.approx(plain, rel=0.1)


def test_the_quantization_error_of_a_range():
    done = quantization_error(UNIFORM, (0.0, 0.5), 8, True)
    assert done.clipped == pytest.approx(0.5, abs=1e-3)
    assert done.mse == pytest.approx(1 / 24, rel=0.01)  # the upper half is off by 0 to 0.5: 0.5 * 0.25 / 3
    assert done.sqnr_db == pytest.approx(10 * np.log10((1 / 3) / (1 / 24)), abs=0.05)
    whole = quantization_error(UNIFORM, (0.0, 1.0), 4, True)
    assert (whole.clipped, whole.mse) == (0, pytest.approx((1 / 15) ** 2 / 12, rel=0.01))


def test_decibels():
    assert sqnr_db(1, 0.001) == pytest.approx(30)
    assert sqnr_db(1, 0) is None
