"""Recipes: one name for one model."""

import re

import numpy as np
import pytest

from experiments.models.format.packed import pack
from experiments.models.recipe import Recipe, apply_quantization, from_json, full_network, pruned_network
from experiments.models.sequential.forward import initial_weights
from experiments.models.techniques.prune_units import select_units, shrink
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.spec import QuantSpec
from tests.experiments.models.small_network import held_out

RECIPE = Recipe(
    "lenet_300_100", (("second", 20), ("first", 30)), 3, QuantSpec(weight_bits=4, layer_bits=(("layers.0", 3),))
)


def test_a_recipe_comes_back_from_its_text():
    assert from_json(RECIPE.json()) == RECIPE
    assert from_json(Recipe().json()) == Recipe()


def test_equal_recipes_have_equal_names():
    same = Recipe("lenet_300_100", (("first", 30), ("second", 20)), 3, RECIPE.quant)
    assert (same.json(), same.hash) == (RECIPE.json(), RECIPE.hash)
    assert Recipe(quant=QuantSpec("float16", weight_bits=2)).hash == Recipe(quant=QuantSpec("float16")).hash
    others = {Recipe(), Recipe(seed=1), Recipe("cnn"), Recipe(quant=QuantSpec()), RECIPE}
    assert len({one.hash for one in others}) == 5
    assert re.fullmatch("[0-9a-f]{12}", RECIPE.hash)


def test_the_hash_stays_the_same_between_versions():
    assert Recipe().json() == (
        '{"network":"mlp","quant":{"activation_bits":null,"granularity":"per_channel","layer_bits":[],'
        '"observer":"minmax","percentile":0.999,"scheme":"float32","symmetry":"symmetric","weight_bits":32,'
        '"weight_observer":"minmax"},"seed":0,"sizes":[]}'
    )


def test_a_recipe_is_applied():
    network, images = pruned_network(RECIPE), held_out(50).images
    weights = initial_weights(network, 1)
    model = apply_quantization(RECIPE, weights, images)
    assert [layer.bits for layer in model.layers] == [3, 4, 4]
    assert model.layers[0].weight.shape == (30, 784)
    assert pack(model) == pack(apply_quantization(RECIPE, weights, images))
    floats = apply_quantization(Recipe("lenet_300_100", RECIPE.sizes), weights)
    assert np.array_equal(floats.layers[1].weight, weights["layers.1.weight"])
    assert 0 <= accuracy_numpy(model, images, held_out(50).labels) <= 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Recipe("resnet"), "network: resnet is unknown; give one of mlp, lenet_300_100, cnn, lenet_5"),
        (lambda: Recipe("mlp", (("width", 3),)), "sizes: mlp has no width"),
        (lambda: Recipe("mlp", (("hidden", 0),)), "at least one input and one output"),
        (
            lambda: apply_quantization(RECIPE, initial_weights(pruned_network(RECIPE), 1)),
            "the scheme static needs calibration images",
        ),
        (
            lambda: apply_quantization(Recipe(), initial_weights(pruned_network(RECIPE), 1)),
            "weights of another network",
        ),
        (lambda: from_json("{"), "not the text of a recipe"),
        (lambda: from_json("[]"), "a recipe has the fields network, sizes, seed"),
        (lambda: from_json('{"network":"mlp","quant":3,"seed":0,"sizes":[]}'), "spec: its fields are not"),
        (lambda: from_json(Recipe().json().replace('"sizes":[]', '"sizes":[1]')), "not the text of a recipe"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(wrong, said):
    with pytest.raises(ValueError, match=said) as raised:
        wrong()
    assert "\n" not in str(raised.value)


PRUNED = Recipe("lenet_5", sparsity=0.7, width=0.5, tune_steps=100)


def test_the_text_holds_newer_fields_only_if_they_are_used():
    assert from_json(PRUNED.json()) == PRUNED
    assert Recipe(distilled=True).json() == Recipe().json().replace('{"network"', '{"distilled":true,"network"')
    assert Recipe(tune_steps=100) == Recipe()  # nothing is taken away, nothing is tuned
    assert len({PRUNED.hash, PRUNED.unquantized.hash, Recipe("lenet_5").hash, Recipe("lenet_5", width=0.5).hash}) == 3


@pytest.mark.parametrize("name", ["mlp", "lenet_300_100", "cnn", "lenet_5"])
def test_the_network_of_a_recipe_is_the_one_that_shrinking_leaves(name):
    recipe = Recipe(name, width=0.3)
    network = full_network(recipe)
    weights = initial_weights(network, 0)
    assert pruned_network(recipe) == shrink(network, weights, select_units(network, weights, 0.3))[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 0}, "width: 0 is not allowed; give a share above 0, at most 1"),
        ({"sparsity": 1}, "sparsity: 1 is not allowed; give a value from 0 to below 1"),
        ({"sparsity": 0.5, "tune_steps": -1}, "tune_steps: -1 is not allowed; give 0 to 100000"),
        ({"network": "lenet_5", "distilled": True}, "distilled: lenet_5 has no larger network to learn from"),
    ],
)
def test_shares_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**wrong)
