import dataclasses
import json
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from experiments.bench.machine.toolchain import child_environment
from experiments.models import tensor_file
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import NETWORKS, lenet_300_100, mlp
from experiments.models.training import checkpoints
from experiments.models.training.checkpoints import (
    BUNDLED,
    BadCheckpoint,
    Checkpoint,
    bundled_file,
    cached_file,
    checkpoint_key,
    load_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from experiments.models.training.settings import Settings, default_settings

SMALL, SETTINGS = mlp(16, 5, 3), Settings(epochs=2)
CURVE = [{"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.25, "learning_rate": 0.0}]


JUDGE = """
import json
from experiments.models.training.checkpoints import load_checkpoint
from experiments.models.data.mnist import mnist
from experiments.models.sequential.forward import accuracy_numpy
from experiments.models.sequential.network import NETWORKS

found, data = [load_checkpoint(make()) for make in NETWORKS.values()], mnist()
splits = (data.validation, data.test)
print(json.dumps({
    one.network.name: [accuracy_numpy(one.network, one.weights, split.images, split.labels) for split in splits]
    for one in found
}))
"""


def made(network=SMALL, settings=SETTINGS, seed=0):
    return Checkpoint(network, settings, initial_weights(network, seed), CURVE, 0.25, 0.125, 1.5, "CPU")


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """An empty cache, and a training that only counts how often it is asked for."""
    calls = []

    def train(network, settings, device, state, progress):
        calls.append((network.name, device, state.name))
        time.sleep(0.05)
        return dataclasses.replace(made(network, settings, seed=len(calls)), device=device)

    monkeypatch.setattr(checkpoints, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(checkpoints, "_train", train)
    return calls


def same(one, other):
    weights = one.weights.keys() == other.weights.keys()
    return weights and all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_a_checkpoint_comes_back_as_it_was_stored(tmp_path):
    write_checkpoint(tmp_path / "x.safetensors", made())
    back = read_checkpoint(tmp_path / "x.safetensors", SMALL, SETTINGS)
    assert same(back, made())
    assert dataclasses.replace(back, weights={}) == dataclasses.replace(made(), weights={})


def test_the_key_changes_with_everything_that_determines_the_weights(monkeypatch):
    keys = [
        checkpoint_key(SMALL, SETTINGS),
        checkpoint_key(mlp(16, 6, 3), SETTINGS),
        checkpoint_key(
            dataclasses.replace(SMALL, layers=(dataclasses.replace(SMALL.layers[0], relu=False), SMALL.layers[1])),
            SETTINGS,
        ),
        *(
            checkpoint_key(SMALL, dataclasses.replace(SETTINGS, **one))
            for one in ({"epochs": 3}, {"seed": 1}, {"rate": 0.1})
        ),
    ]
    monkeypatch.setattr(checkpoints, "TRAINER_VERSION", -1)
    keys.append(checkpoint_key(SMALL, SETTINGS))
    monkeypatch.undo()
    monkeypatch.setattr(checkpoints, "SHA256", "other data")
    keys.append(checkpoint_key(SMALL, SETTINGS))
    assert len(set(keys)) == len(keys)


def test_it_is_trained_once_and_then_loaded(trained):
    first = load_checkpoint(SMALL, SETTINGS, device="CUDA")
    assert same(load_checkpoint(SMALL, SETTINGS), first)
    assert load_checkpoint(SMALL, SETTINGS).device == "CUDA"
    assert trained == [("mlp", "CUDA", f"mlp-{checkpoint_key(SMALL, SETTINGS)}.partial")]


def test_train_always_trains(trained):
    first = load_checkpoint(SMALL, SETTINGS)
    again = load_checkpoint(SMALL, SETTINGS, train=True)
    assert not same(first, again)
    assert same(load_checkpoint(SMALL, SETTINGS), again)


@pytest.mark.parametrize("anew", [False, True])
def test_two_that_want_the_same_at_once_train_it_once(trained, anew):
    found, told = [], []

    def one():
        found.append(load_checkpoint(SMALL, SETTINGS, train=anew, progress=lambda *what: told.append(what)))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert same(*found)


def test_waiting_for_another_process_is_reported(trained):
    told = []
    file = cached_file(SMALL, SETTINGS)
    file.parent.mkdir(parents=True)
    lock = checkpoints.FileLock(file.with_suffix(".lock"))
    lock.acquire()
    waiting = threading.Thread(
        target=load_checkpoint, args=(SMALL, SETTINGS), kwargs={"progress": lambda *what: told.append(what)}
    )
    waiting.start()
    while not told:
        time.sleep(0.01)
    lock.release()
    waiting.join()
    assert told[0] == (0.0, "waiting for another process that trains this network", None)
    assert len(trained) == 1


def damage(file, how):
    if how == "cut":
        file.write_bytes(file.read_bytes()[:-7])
    elif how == "flipped":
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    elif how == "nan":
        write_anyway(file, {**made().weights, "layers.0.bias": np.full(5, np.nan, np.float32)})
    elif how == "other network":
        write_checkpoint(file, made(mlp(16, 6, 3)))
    elif how == "other settings":
        write_checkpoint(file, made(settings=Settings(epochs=3)))
    elif how == "no description":
        about = tensor_file.read(file)[1]
        tensor_file.write(file, made().weights, {name: about[name] for name in ("key", "weights")})
    elif how == "bare":
        tensor_file.write(file, made().weights)


def write_anyway(file, weights):
    tensor_file.write(file, weights, {"key": checkpoint_key(SMALL, SETTINGS)})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "damaged, or not a safetensors file"),
        ("flipped", "damaged, its weights differ from the stored checksum"),
        ("nan", "layers.0.bias contains NaN or infinity"),
        ("other network", "weights of another network"),
        ("other settings", "trained with other settings, other data or another version of the trainer"),
        ("no description", "damaged, its metadata cannot be read"),
        ("bare", "trained with other settings, other data or another version of the trainer"),
    ],
)
def test_a_bad_file_gives_one_clear_line_and_no_weights(tmp_path, how, message):
    file = tmp_path / "x.safetensors"
    write_checkpoint(file, made())
    damage(file, how)
    with pytest.raises(BadCheckpoint, match=message) as error:
        read_checkpoint(file, SMALL, SETTINGS)
    assert str(error.value).startswith("x.safetensors: ")
    assert "\n" not in str(error.value)


def test_weights_with_nan_are_never_stored(tmp_path):
    broken = made()
    broken.weights["layers.0.bias"][0] = np.nan
    with pytest.raises(BadCheckpoint, match="NaN"):
        write_checkpoint(tmp_path / "x.safetensors", broken)
    assert not list(tmp_path.iterdir())


def test_training_again_replaces_a_damaged_file(trained):
    load_checkpoint(SMALL, SETTINGS)
    damage(cached_file(SMALL, SETTINGS), "cut")
    with pytest.raises(BadCheckpoint, match="train=true trains it again"):
        load_checkpoint(SMALL, SETTINGS)
    assert same(load_checkpoint(SMALL, SETTINGS, train=True), load_checkpoint(SMALL, SETTINGS))


@pytest.mark.parametrize("name", NETWORKS)
def test_nobody_waits_for_the_standard_networks(trained, name):
    found = load_checkpoint(NETWORKS[name]())
    assert not trained
    assert found.settings == default_settings(name)
    assert found.curve[-1]["validation_accuracy"] == found.validation_accuracy
    assert len(found.curve) == found.settings.epochs


def test_other_sizes_settings_or_seeds_are_not_bundled():
    assert bundled_file(mlp(), default_settings("mlp"))
    assert not bundled_file(mlp(hidden=64), default_settings("mlp"))
    assert not bundled_file(mlp(), Settings(seed=1))
    assert not bundled_file(dataclasses.replace(lenet_300_100(), name="mine"), Settings())


@pytest.fixture(scope="module")
def accuracies():
    """Each carried network's own, on validation and test images; in a process where numpy keeps to one thread."""
    command = [sys.executable, "-c", JUDGE]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment("CPU"), check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_bundled_checkpoint_has_the_accuracy_that_the_readme_states(accuracies, name):
    stated = re.search(rf"^\| {name} \|.*?\| ([\d.]+)% \| ([\d.]+)% \|", (BUNDLED / "README.md").read_text(), re.M)
    found = load_checkpoint(NETWORKS[name]())
    assert stated
    assert [f"{found.validation_accuracy:.2%}", f"{found.test_accuracy:.2%}"] == [f"{one}%" for one in stated.groups()]
    assert accuracies[name] == pytest.approx([found.validation_accuracy, found.test_accuracy], abs=2e-4)


def test_the_bundled_checkpoints_are_accurate_enough_for_experiments():
    least = {"mlp": 0.975, "lenet_300_100": 1 - 0.0164, "cnn": 0.97, "lenet_5": 0.992}
    assert all(load_checkpoint(NETWORKS[name]()).test_accuracy >= accuracy for name, accuracy in least.items())
