import numpy as np

from experiments.compression.pruning.programs import nonzero_rows


def test_rows_hold_the_nonzero_inputs_of_each_output_and_are_filled_with_zeros():
    weight = np.array([[0, 2, 0, 3], [0, 0, 5, 0], [0, 0, 0, 0]], np.float32)
    indices, values = nonzero_rows(weight)
    assert indices.shape == values.shape == (3, 2)
    assert (indices[0].tolist(), values[0].tolist()) == ([1, 3], [2, 3])
    assert (indices[1, 0], values[1].tolist()) == (2, [5, 0])
    assert not values[2].any()


def test_gathered_inputs_times_their_weights_are_the_product():
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((7, 30)) * (rng.random((7, 30)) < 0.2)).astype(np.float32)
    x = rng.standard_normal((4, 30)).astype(np.float32)
    indices, values = nonzero_rows(weight)
    assert np.allclose((x[:, indices] * values).sum(-1), x @ weight.T, atol=1e-5)


def test_a_layer_of_zeros_alone_has_rows_of_one():
    indices, values = nonzero_rows(np.zeros((3, 5), np.float32))
    assert indices.shape == values.shape == (3, 1)
