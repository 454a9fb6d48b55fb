"""Models are made once and kept; what is kept restores what was said of it."""

import hashlib

import numpy as np
import pytest

from experiments.models import builder
from experiments.models.builder import build_model, cache_path
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.recipe import Recipe, from_json, pruned_network
from experiments.models.sequential.forward import accuracy_numpy as float_accuracy
from experiments.models.techniques.prune_weights import total_sparsity
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.spec import QuantSpec

DENSE = Recipe()
PRUNED = Recipe(sparsity=0.6)  # no fine-tuning: nothing is compiled
SMALL = Recipe(width=0.5, sparsity=0.3, quant=QuantSpec("static", 8))


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of this module's own, but for what is compiled."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "cache_folder", lambda: folder)
        yield


def test_a_model_is_built_once_and_then_cached():
    first, second = build_model(PRUNED), build_model(PRUNED)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first.file == second.file
    assert np.array_equal(first.correct, second.correct)
    assert (first.validation_accuracy, first.seconds) == (second.validation_accuracy, second.seconds)
    assert build_model(from_json(PRUNED.json())).from_cache


@pytest.mark.slow
def test_the_file_restores_the_reported_accuracy():
    made, test = build_model(SMALL), mnist().test
    restored = unpack(made.file)
    assert accuracy_numpy(restored, test.images, test.labels) == made.correct.mean()
    assert restored.network == pruned_network(SMALL)
    quick = made.restored.float_weights()
    assert all(np.array_equal(values, quick[name]) for name, values in restored.float_weights().items())
    assert [layer.outputs for layer in restored.network.layers] == [64, 10]
    validation = mnist().validation
    assert accuracy_numpy(restored, validation.images, validation.labels) == made.validation_accuracy


def test_techniques_are_applied_in_their_order():
    pruned = build_model(PRUNED).restored.float_weights()
    assert total_sparsity(pruned_network(PRUNED), pruned) == pytest.approx(0.6, abs=1e-4)
    both = build_model(SMALL.unquantized).restored.float_weights()
    assert total_sparsity(pruned_network(SMALL), both) == pytest.approx(0.3, abs=1e-3)
    quantized = build_model(SMALL).restored.float_weights()
    assert (quantized["layers.0.weight"][both["layers.0.weight"] == 0] == 0).all()


@pytest.mark.slow
def test_a_quantized_model_starts_from_the_cached_float_model(monkeypatch):
    build_model(PRUNED)

    def trains(*_):
        raise AssertionError("the pruned network is made a second time")

    monkeypatch.setattr(builder, "_build_weights", trains)
    assert not build_model(Recipe(sparsity=0.6, quant=QuantSpec("weight_only", 4))).from_cache


@pytest.mark.slow
def test_a_damaged_file_is_built_again():
    before = build_model(DENSE)
    path = cache_path(DENSE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    again = build_model(DENSE)
    assert not again.from_cache
    assert hashlib.sha256(again.file).digest() == hashlib.sha256(before.file).digest()


def test_other_data_find_nothing(monkeypatch):
    known = cache_path(DENSE)
    monkeypatch.setattr(builder, "SHA256", "0" * 64)
    assert cache_path(DENSE) != known


def test_the_dense_model_is_the_bundled_checkpoint():
    test = mnist().test
    made = build_model(DENSE)
    assert (
        float_accuracy(pruned_network(DENSE), made.restored.float_weights(), test.images, test.labels)
        == made.correct.mean()
    )
    assert made.correct.mean() == pytest.approx(0.9844)
    assert (made.parameters, made.nonzero <= made.parameters) == (101_770, True)


def test_training_gets_the_network_and_the_seed_of_the_recipe(monkeypatch):
    """Training is replaced: what it is given is what counts here."""
    asked = []

    def load(network, settings, **_):
        asked.append((network.name, settings.seed, network.layers[0].outputs))
        raise ValueError("no training in this test")

    monkeypatch.setattr(builder.checkpoints, "load_checkpoint", load)
    with pytest.raises(ValueError, match="no training"):
        build_model(Recipe(sizes=(("hidden", 32),), seed=3, sparsity=0.5))
    assert asked == [("mlp", 3, 32)]


@pytest.mark.parametrize(
    ("technique", "recipe"),
    [
        ("settings", DENSE),
        ("post_training", DENSE),
        ("packed", DENSE),
        ("prune_weights", PRUNED),
        ("prune_units", SMALL),
        ("fine_tuning", Recipe(sparsity=0.6, tune_steps=10)),
        ("feeding", Recipe(distilled=True)),
    ],
)
def test_a_new_version_of_a_technique_changes_the_keys_of_the_models_that_use_it_only(technique, recipe, monkeypatch):
    before, other = cache_path(recipe), cache_path(DENSE)
    name = "TEACHER_VERSION" if technique == "feeding" else "VERSION"
    monkeypatch.setattr(getattr(builder, technique), name, 2)
    assert cache_path(recipe) != before
    assert (cache_path(DENSE) == other) == (technique not in ("settings", "post_training", "packed"))


def test_models_that_release_0_1_cached_are_found():
    assert cache_path(DENSE).name == "d7a62d488f755e9f24edb386.safetensors"
