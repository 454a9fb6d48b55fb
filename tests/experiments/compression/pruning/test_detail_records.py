import numpy as np
import pytest

from experiments.compression.pruning.detail_records import layer_records, picture_records, sensitivity_records
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import Linear, Network
from experiments.models.techniques.prune_units import select_units, unit_masks
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks
from tests.experiments.models.small_network import held_out, mixed, trained


def test_layers_count_the_weights_and_units_that_are_left():
    network, weights = trained()
    records = layer_records(network, apply_masks(weights, unit_masks(network, select_units(network, weights, 0.5))))
    assert [record["units"] for record in records] == [12, 8, 10]
    assert records[0]["sparsity"] == pytest.approx(0.5)
    assert records[1]["nonzero"] == 8 * 12


def test_the_sensitivity_of_a_layer_prunes_that_layer_alone():
    network, weights = trained()
    records = sensitivity_records(network, weights, held_out(500), (0.0, 0.9))
    assert [(record["layer"], record["sparsity"]) for record in records] == [
        (f"layers.{layer}", sparsity) for layer in range(3) for sparsity in (0.0, 0.9)
    ]
    whole, without = records[0]["accuracy"], records[1]["accuracy"]
    assert whole == records[2]["accuracy"] > without
    assert records[1]["accuracy_lo"] < without < records[1]["accuracy_hi"]


def test_a_picture_shows_the_filters_of_a_convolution():
    network, weights = mixed()
    pruned = apply_masks(weights, pruning_masks(network, weights, 0.5))
    records = picture_records(network, weights, pruned)
    assert len(records) == 3 * 5 * 5
    last = records[-1]
    assert (last["tile"], last["row"], last["column"]) == (2, 4, 4)
    assert last["before"] == pytest.approx(weights["layers.0.weight"][2, 0, 4, 4])
    assert {record["after"] for record in records} >= {0.0}


def test_a_picture_shows_the_neurons_with_the_largest_norm_as_images():
    network, weights = trained()
    records = picture_records(network, weights, weights)
    norms = np.linalg.norm(weights["layers.0.weight"], axis=1)
    assert {record["tile"] for record in records} == set(np.argsort(-norms)[:8].tolist())
    assert len(records) == 8 * 28 * 28


def test_a_matrix_without_an_image_shows_units_from_all_over_it():
    network = Network("matrix", (Linear(1000, 500),), (1000,))
    weights = initial_weights(network, 0)
    records = picture_records(network, weights, weights)
    assert len(records) == 40 * 40
    assert records[41]["before"] == pytest.approx(weights["layers.0.weight"][12, 1])
    assert records[-1]["before"] == pytest.approx(weights["layers.0.weight"][499, 39])
