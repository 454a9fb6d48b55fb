"""What version 0.1 trained and kept on a machine is found again: nothing is trained a second time."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility import internals
from tests.compatibility.old_data import read_json
from tests.compatibility.weights_digest import weights_digest

OLD = read_json("cache.json")
MODELS = OLD["models"]


def contents(folder: Path) -> dict[str, bytes]:
    """The kept files; locks, which a look at the cache may leave, are not part of them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*.safetensors")}


@pytest.fixture(autouse=True)
def untouched(old_cache: Path) -> Any:
    """No test may add to the old cache, or change what is in it."""
    before = contents(old_cache)
    yield
    assert contents(old_cache) == before


def test_a_trained_network_is_loaded(old_cache: Path):
    old = OLD["checkpoint"]
    network = internals.NETWORKS[old["network"]](**old["sizes"])
    settings = internals.Settings(**old["settings"])
    assert internals.checkpoints.cached_file(network, settings) == old_cache / old["file"]
    loaded = internals.checkpoints.load_checkpoint(network, settings)
    assert weights_digest(loaded.weights) == old["weights_sha256"]
    assert loaded.test_accuracy == old["test_accuracy"]


@pytest.mark.parametrize("label", MODELS)
def test_the_text_of_a_recipe_is_what_it_was(label: str):
    assert internals.recipe_of(MODELS[label]["recipe"]).json() == MODELS[label]["recipe"]


@pytest.mark.parametrize("label", MODELS)
def test_the_model_of_a_recipe_is_found_and_not_made_again(label: str):
    old = MODELS[label]
    made = internals.build_model(internals.recipe_of(old["recipe"]))
    assert made.from_cache
    assert hashlib.sha256(made.file).hexdigest() == old["packed_sha256"]
    assert weights_digest(made.restored.float_weights()) == old["weights_sha256"]
    assert float(made.correct.mean()) == old["test_accuracy"]
    assert made.validation_accuracy == old["validation_accuracy"]


def test_the_answers_of_a_teacher_are_found(old_cache: Path):
    old = OLD["teacher"]
    teacher = internals.checkpoints.load_checkpoint(internals.NETWORKS[old["network"]]())
    images = internals.mnist().train.first(old["images"])
    table = internals.cached_teacher_logits(teacher, images, old["shift"], "CPU")
    assert (old_cache / old["file"]).exists()
    assert weights_digest({"table": table}) == old["table_sha256"]


def test_the_pruned_network_of_an_export_is_found():
    old = OLD["edge"]
    choice = internals.parse(internals.ExportSpec, old["choice"])
    steps = {step.name: step for step in internals.export_steps(choice, "CPU", lambda fraction, message: None)}
    assert {name: step.accuracy for name, step in steps.items()} == old["accuracies"]
    assert weights_digest(steps["prune"].weights) == old["weights_sha256"]


def test_the_data_names_every_kept_file(old_cache: Path):
    named = {OLD[part]["file"] for part in ("checkpoint", "teacher", "edge")} | {one["file"] for one in MODELS.values()}
    there = set(contents(old_cache))
    assert named <= there
    assert {name.split("/")[0] for name in there - named} <= {"checkpoints"}  # what the recipes start from
    assert json.loads(json.dumps(OLD))["code"].isalnum()
