import numpy as np
import pytest

from experiments.models.sequential.forward import accuracy_numpy, initial_weights
from experiments.models.sequential.network import Linear, Network, mlp
from experiments.models.techniques.prune_weights import (
    apply_masks,
    count_nonzero,
    cubic_sparsity,
    pruning_masks,
    total_sparsity,
)
from tests.experiments.models.small_network import held_out, mixed, trained

TWO = Network("two", (Linear(3, 2, True), Linear(2, 2)), (3,))
FIRST = np.array([[0.1, -0.9, 0.3], [0.4, 0.05, -0.6]], np.float32)
SECOND = np.array([[8.0, 1.0], [-4.0, 2.0]], np.float32)
WEIGHTS = {
    "layers.0.weight": FIRST,
    "layers.0.bias": np.array([0.01, 0.02], np.float32),
    "layers.1.weight": SECOND,
    "layers.1.bias": np.zeros(2, np.float32),
}


def kept(masks):
    return {name: mask.astype(int).tolist() for name, mask in masks.items()}


def test_global_magnitude_keeps_the_largest_of_all_layers():
    assert kept(pruning_masks(TWO, WEIGHTS, 0.5)) == {
        "layers.0.weight": [[0, 1, 0], [0, 0, 0]],
        "layers.1.weight": [[1, 1], [1, 1]],
    }


def test_layer_magnitude_keeps_the_share_in_every_layer():
    assert kept(pruning_masks(TWO, WEIGHTS, 0.5, scope="layer")) == {
        "layers.0.weight": [[0, 1, 0], [1, 0, 1]],
        "layers.1.weight": [[1, 0], [1, 0]],
    }


def test_lamp_ranks_by_the_share_of_the_squares_that_are_left():
    # squares of layer 0 from the largest: .81 .36 .16 .09 .01 .0025; scores 1, .3077, .1203, .0634, .007, .0017
    # of layer 1: 64 16 4 1; scores 1, .2, .0476, .0118
    assert kept(pruning_masks(TWO, WEIGHTS, 0.5, "lamp")) == {
        "layers.0.weight": [[0, 1, 0], [1, 0, 1]],
        "layers.1.weight": [[1, 0], [1, 0]],
    }


def test_lamp_leaves_every_layer_its_largest_weight():
    masks = pruning_masks(TWO, WEIGHTS, 0.8, "lamp")
    assert masks["layers.0.weight"][0, 1]
    assert masks["layers.1.weight"][0, 0]


def test_random_is_seeded_and_its_smaller_choice_is_part_of_the_larger():
    network, weights = trained()
    few, many = (pruning_masks(network, weights, sparsity, "random", seed=3) for sparsity in (0.9, 0.5))
    other = pruning_masks(network, weights, 0.9, "random", seed=4)
    for name in few:
        assert not (few[name] & ~many[name]).any()
    assert any((few[name] != other[name]).any() for name in few)


def test_two_of_four_keeps_the_two_largest_of_every_four_inputs():
    network = Network("one", (Linear(6, 1),), (6,))
    weights = {
        "layers.0.weight": np.array([[1, -4, 3, 2, 0.5, -0.1]], np.float32),
        "layers.0.bias": np.zeros(1, np.float32),
    }
    assert kept(pruning_masks(network, weights, None, "2:4")) == {"layers.0.weight": [[0, 1, 1, 0, 1, 1]]}
    assert kept(pruning_masks(network, weights, 0.75, "1:4")) == {"layers.0.weight": [[0, 1, 0, 0, 1, 0]]}


@pytest.mark.parametrize("method", ["magnitude", "lamp", "random"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_share_of_zeros_is_as_requested_in_every_kind_of_layer(method, scope):
    network, weights = mixed()
    pruned = apply_masks(weights, pruning_masks(network, weights, 0.75, method, scope))
    assert total_sparsity(network, pruned) == pytest.approx(0.75, abs=0.01)
    if scope == "layer":
        shares = [(pruned[node.weight] == 0).mean() for node in network.walk()]
        assert shares == pytest.approx([0.75] * len(shares), abs=0.02)
    assert all((pruned[name] == weights[name]).all() for name in weights if name.endswith("bias"))


def test_masks_within_masks_only_tighten():
    network, weights = trained()
    loose = pruning_masks(network, weights, 0.5)
    grown = {name: one + (~loose[name] * 100 if name in loose else 0) for name, one in weights.items()}
    for method in ("magnitude", "2:4"):
        sparsity = 0.8 if method == "magnitude" else None
        tight = pruning_masks(network, grown, sparsity, method, within=loose)
        assert all(not (tight[name] & ~loose[name]).any() for name in tight)


def test_masks_within_tighter_masks_are_those_masks():
    network, weights = trained()
    tight = pruning_masks(network, weights, 0.9)
    again = pruning_masks(network, weights, 0.5, within=tight)
    assert all((again[name] == tight[name]).all() for name in tight)


def test_only_the_given_layers_get_masks():
    assert list(pruning_masks(TWO, WEIGHTS, 0.5, layers=["layers.1"])) == ["layers.1.weight"]


def test_the_smallest_weights_cost_little_and_random_ones_a_lot():
    network, weights = trained()
    test = held_out()

    def accuracy(method):
        pruned = apply_masks(weights, pruning_masks(network, weights, 0.7, method))
        return accuracy_numpy(network, pruned, test.images, test.labels)

    dense = accuracy_numpy(network, weights, test.images, test.labels)
    assert accuracy("magnitude") > dense - 0.1
    assert accuracy("random") < accuracy("magnitude") - 0.1


def test_nonzero_counts_weights_and_biases():
    assert count_nonzero(apply_masks(WEIGHTS, pruning_masks(TWO, WEIGHTS, 0.5))) == 5 + 2


def test_the_cubic_schedule_starts_fast_and_ends_at_the_final_sparsity():
    assert cubic_sparsity(0, 10, 110, 0.8) == 0
    assert cubic_sparsity(10, 10, 110, 0.8) == 0
    assert cubic_sparsity(60, 10, 110, 0.8) == pytest.approx(0.8 * (1 - 0.125))
    assert cubic_sparsity(110, 10, 110, 0.8) == 0.8
    assert cubic_sparsity(500, 10, 110, 0.8) == 0.8
    assert cubic_sparsity(60, 10, 110, 0.8) == pytest.approx(0.8 - 0.8 * 0.125)
    assert cubic_sparsity(0, 0, 0, 0.8) == 0.8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sparsity": 1.0}, "sparsity: 1.0 is not allowed; give a value from 0 to below 1"),
        ({"sparsity": -0.1}, "sparsity: -0.1 is not allowed"),
        ({"sparsity": float("nan")}, "sparsity: nan is not allowed"),
        ({"sparsity": None}, "sparsity: None is not allowed"),
        ({"method": "l7"}, "method: l7 is not allowed; give one of magnitude, lamp, random or N:M"),
        ({"method": "5:4", "sparsity": None}, "5:4 is not allowed; give N:M, such as 2:4, with N from 1 to M"),
        ({"method": "0:4", "sparsity": None}, "0:4 is not allowed"),
        ({"method": "2:4", "sparsity": 0.9}, "sparsity: 0.9 is not allowed; 2:4 has 0.5"),
        ({"scope": "unit"}, "scope: unit is not allowed; give one of global, layer"),
        ({"layers": ["layers.7"]}, "layers: mlp has no layer layers.7; it has layers.0, layers.1"),
    ],
)
def test_bad_input_is_refused_in_one_line(given, said):
    network = mlp()
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        pruning_masks(network, initial_weights(network, 0), **{"sparsity": 0.5, **given})
    assert str(refused.value).startswith(said)
