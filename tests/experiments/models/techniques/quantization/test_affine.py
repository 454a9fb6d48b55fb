"""Grids worked out by hand, and what no grid can stand for."""

import numpy as np
import pytest

from experiments.models.techniques.quantization.affine import qparams_from_range

EVEN = [-1.0, 0.0, 0.5, 1.0]
UNEVEN = [-1.0, 0.0, 0.4, 2.0]


@pytest.mark.parametrize(
    ("values", "bits", "symmetric", "scale", "zero", "integers", "reals"),
    [
        # symmetric: 1 / (2^(bits-1) - 1); 0.5 is halfway between two integers each time and goes to the even one
        (EVEN, 2, True, 1.0, 0, [-1, 0, 0, 1], [-1, 0, 0, 1]),
        (EVEN, 3, True, 1 / 3, 0, [-3, 0, 2, 3], [-1, 0, 2 / 3, 1]),
        (EVEN, 8, True, 1 / 127, 0, [-127, 0, 64, 127], [-1, 0, 64 / 127, 1]),
        # asymmetric: 3 / (2^bits - 1); -1 is 1, 2.33 and 85 steps below 0
        (UNEVEN, 2, False, 1.0, 1, [0, 1, 1, 3], [-1, 0, 0, 2]),
        (UNEVEN, 3, False, 3 / 7, 2, [0, 2, 3, 7], [-6 / 7, 0, 3 / 7, 15 / 7]),
        (UNEVEN, 8, False, 3 / 255, 85, [0, 85, 119, 255], [-1, 0, 0.4, 2]),
    ],
)
def test_four_numbers_quantized_and_dequantized(values, bits, symmetric, scale, zero, integers, reals):
    grid, given = qparams_from_range(min(values), max(values), bits, symmetric), np.array(values, np.float32)
    assert (grid.scale, grid.zero_point) == (np.float32(scale), zero)
    assert grid.quantize(given).tolist() == integers
    assert grid.dequantize(grid.quantize(given)) == pytest.approx(reals, abs=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_where_nothing_is_negative_all_integers_are_used(symmetric):
    grid = qparams_from_range(0, 1, 2, symmetric)
    assert (grid.qmin, grid.qmax, grid.zero_point, grid.scale) == (0, 3, 0, np.float32(1 / 3))
    assert grid.quantize(np.array([0, 0.2, 0.5, 9], np.float32)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_is_exact_and_no_error_exceeds_half_a_step(bits, symmetric):
    values = np.random.default_rng(bits).uniform(-0.3, 1.1, 500).astype(np.float32)
    grid = qparams_from_range(values.min(), values.max(), bits, symmetric)
    integers = grid.quantize(values)
    assert grid.dequantize(grid.quantize(np.zeros(1, np.float32))) == 0
    assert (integers.min() >= grid.qmin, integers.max() <= grid.qmax) == (True, True)
    # rounding the zero point may move the ends by half a step more
    assert np.abs(grid.dequantize(integers) - values).max() <= grid.scale * (0.5 if symmetric else 1) * 1.0001


def test_each_output_has_its_own_scale():
    weights = np.array([[1, -2], [10, 20]], np.float32)
    grid = qparams_from_range(weights.min(axis=1), weights.max(axis=1), 8, True)
    assert grid.scales == pytest.approx([2 / 127, 20 / 127])
    assert grid.quantize(weights).tolist() == [[64, -127], [64, 127]]


def test_an_output_of_zeros_keeps_its_zeros():
    grid = qparams_from_range(np.array([0.0, -1.0]), np.array([0.0, 1.0]), 4, False)
    assert np.isfinite(grid.scales).all()
    assert grid.dequantize(grid.quantize(np.zeros((2, 3), np.float32))).tolist() == [[0, 0, 0]] * 2
    assert qparams_from_range(0, 0, 4, True).scale == 1


@pytest.mark.parametrize("bits", [1, 0, 9, -8])
def test_one_bit_is_refused(bits):
    with pytest.raises(ValueError, match=f"bits: {bits} is not allowed; give 2 to 8"):
        qparams_from_range(-1, 1, bits, True)
