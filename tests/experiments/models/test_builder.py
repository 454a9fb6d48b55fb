"""Models are made once and kept; what is kept restores what was said of it."""

import hashlib

import numpy as np
import pytest

from experiments.models import builder
from experiments.models.builder import make, path_of
from experiments.models.data.mnist import mnist
from experiments.models.format.packed import unpack
from experiments.models.recipe import Recipe, build, from_json
from experiments.models.sequential.network import accuracy_numpy as float_accuracy
from experiments.models.techniques.prune_weights import sparsity_of
from experiments.models.techniques.quantization.numpy_backend import accuracy_numpy
from experiments.models.techniques.quantization.post_training import QuantSpec

DENSE = Recipe()
PRUNED = Recipe(sparsity=0.6)  # no fine-tuning: nothing is compiled
SMALL = Recipe(width=0.5, sparsity=0.3, quant=QuantSpec("static", 8))


@pytest.fixture(scope="module", autouse=True)
def apart(tmp_path_factory):
    """A cache of this module's own, but for what is compiled."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "cache_folder", lambda: folder)
        yield


def test_a_model_is_made_once_and_is_then_the_same():
    first, second = make(PRUNED), make(PRUNED)
    assert (first.kept, second.kept) == (False, True)
    assert first.file == second.file
    assert np.array_equal(first.right, second.right)
    assert (first.validation_accuracy, first.seconds) == (second.validation_accuracy, second.seconds)
    assert make(from_json(PRUNED.json())).kept


def test_the_file_restores_the_accuracy_that_is_said():
    made, test = make(SMALL), mnist().test
    restored = unpack(made.file)
    assert accuracy_numpy(restored, test.images, test.labels) == made.right.mean()
    assert restored.network == build(SMALL)
    quick = made.restored.real_weights()
    assert all(np.array_equal(values, quick[name]) for name, values in restored.real_weights().items())
    assert [layer.outputs for layer in restored.network.layers] == [64, 10]
    validation = mnist().validation
    assert accuracy_numpy(restored, validation.images, validation.labels) == made.validation_accuracy


def test_techniques_are_applied_in_their_order():
    pruned = make(PRUNED).restored.real_weights()
    assert sparsity_of(build(PRUNED), pruned) == pytest.approx(0.6, abs=1e-4)
    both = make(SMALL.unquantized).restored.real_weights()
    assert sparsity_of(build(SMALL), both) == pytest.approx(0.3, abs=1e-3)
    quantized = make(SMALL).restored.real_weights()
    assert (quantized["layers.0.weight"][both["layers.0.weight"] == 0] == 0).all()


def test_a_quantized_model_starts_from_the_kept_one_that_it_quantizes(monkeypatch):
    make(PRUNED)

    def trains(*_):
        raise AssertionError("the pruned network is made a second time")

    monkeypatch.setattr(builder, "_weights", trains)
    assert not make(Recipe(sparsity=0.6, quant=QuantSpec("weight_only", 4))).kept


def test_a_damaged_file_is_made_anew():
    before = make(DENSE)
    path = path_of(DENSE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    again = make(DENSE)
    assert not again.kept
    assert hashlib.sha256(again.file).digest() == hashlib.sha256(before.file).digest()


def test_other_data_find_nothing(monkeypatch):
    known = path_of(DENSE)
    monkeypatch.setattr(builder, "SHA256", "0" * 64)
    assert path_of(DENSE) != known


def test_the_dense_model_is_the_carried_checkpoint():
    test = mnist().test
    made = make(DENSE)
    assert float_accuracy(build(DENSE), made.restored.real_weights(), test.images, test.labels) == made.right.mean()
    assert made.right.mean() == pytest.approx(0.9844)
    assert (made.parameters, made.nonzero <= made.parameters) == (101_770, True)


def test_training_starts_where_the_recipe_says(monkeypatch):
    """Training is replaced: what it is given is what counts here."""
    asked = []

    def load(network, settings, **_):
        asked.append((network.name, settings.seed, network.layers[0].outputs))
        raise ValueError("no training in this test")

    monkeypatch.setattr(build.checkpoints, "load", load)
    with pytest.raises(ValueError, match="no training"):
        make(Recipe(sizes=(("hidden", 32),), seed=3, sparsity=0.5))
    assert asked == [("mlp", 3, 32)]


@pytest.mark.parametrize(
    ("technique", "recipe"),
    [
        ("settings", DENSE),
        ("quantizing", DENSE),
        ("packing", DENSE),
        ("pruning", PRUNED),
        ("shrinking", SMALL),
        ("finetuning", Recipe(sparsity=0.6, tune_steps=10)),
        ("feeding", Recipe(distilled=True)),
    ],
)
def test_a_new_version_of_a_technique_leaves_the_models_that_use_it_behind_and_no_others(
    technique, recipe, monkeypatch
):
    before, other = path_of(recipe), path_of(DENSE)
    name = "TEACHER_VERSION" if technique == "feeding" else "VERSION"
    monkeypatch.setattr(getattr(builder, technique), name, 2)
    assert path_of(recipe) != before
    assert (path_of(DENSE) == other) == (technique not in ("settings", "quantizing", "packing"))


def test_models_that_release_0_1_cached_are_found():
    assert path_of(DENSE).name == "d7a62d488f755e9f24edb386.safetensors"
