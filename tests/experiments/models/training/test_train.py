import subprocess
import sys

import pytest

from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp
from experiments.models.training import checkpoints, train
from experiments.models.training.checkpoints import Checkpoint
from experiments.models.training.settings import Settings


@pytest.fixture
def inside(monkeypatch, tmp_path):
    """As in the child process, but nothing is trained: each network is asked for and made up."""
    asked = []

    def load(network, *, train, device, progress):
        asked.append((network.name, train, device))
        record = {"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.75, "learning_rate": 0.0}
        progress(0.5, "epoch 1 of 1", None)
        progress(1.0, "epoch 1 of 1", record)
        return Checkpoint(network, Settings(1), initial_weights(network, 0), [record], 0.75, 0.7, 12.3, device)

    monkeypatch.setenv(train.INSIDE, "1")
    monkeypatch.setattr(checkpoints, "load_checkpoint", load)
    monkeypatch.setattr(checkpoints, "BUNDLED", tmp_path / "pretrained")
    return asked


def test_it_trains_the_named_networks_and_prints_a_row_for_the_readme(inside, capsys, tmp_path):
    assert train.main(["mlp", "cnn", "--device", "CUDA"]) == 0
    assert inside == [("mlp", True, "CUDA"), ("cnn", True, "CUDA")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mlp: 100% epoch 1 of 1: train_loss 0.5, validation_accuracy 0.75, learning_rate 0"
    assert lines[1].startswith("| mlp | 101,770 | 1 | 0.002 | 75.00% | 70.00% | 12 | ")
    assert not (tmp_path / "pretrained").exists()


def test_the_bundled_checkpoint_is_only_written_with_carry(inside, tmp_path):
    assert train.main(["mlp", "--carry"]) == 0
    kept = checkpoints.read_checkpoint(tmp_path / "pretrained" / "mlp.safetensors", mlp(), Settings(1))
    assert kept.validation_accuracy == 0.75


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), train.INTERRUPTED), (ValueError("too bad"), 1)])
def test_an_error_is_one_line(inside, monkeypatch, capsys, error, status):
    def load(*_, **__):
        raise error

    monkeypatch.setattr(checkpoints, "load_checkpoint", load)
    assert train.main(["mlp"]) == status
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_network_is_refused_with_the_names():
    command = [sys.executable, "-m", "experiments.models.training.train", "lenet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "lenet_300_100" in done.stderr
