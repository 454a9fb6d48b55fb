"""The logits of a trained network for every training image as a student will see it, worked out once per machine."""

from pathlib import Path

import numpy as np
from tinygrad import TinyJit

from experiments.bench.arrays import Array
from experiments.bench.machine.toolchain import cache_folder
from experiments.bench.tinygrad.runtime import tensor
from experiments.models import tensor_file
from experiments.models.data.mnist import Split
from experiments.models.sequential.network import Network, Weights, forward_tinygrad
from experiments.models.training.checkpoints import Checkpoint, checkpoint_key
from experiments.models.training.feeding import shifted_views, teacher_logits

BATCH = 1000


def cached_teacher_logits(teacher: Checkpoint, train: Split, shift: int, device: str) -> Array:
    """The table of `feeding.Teacher` for `train`; from this machine's cache, else worked out and kept there."""
    name = (
        f"{teacher.network.name}-{checkpoint_key(teacher.network, teacher.settings)}-{shift}-{len(train)}.safetensors"
    )
    file = cache_folder() / "teachers" / name  # its key knows the data of the teacher, which are the student's too
    if (kept := _cached(file)) is not None:
        return kept
    if device == "CPU":  # numpy is three times as fast there as tinygrad's convolutions
        table = teacher_logits(teacher.network, teacher.weights, train.images, shift)
    else:
        table = device_teacher_logits(teacher.network, teacher.weights, train.images, shift, device)
    tensor_file.write(file, {"table": table})
    return table


def _cached(file: Path) -> Array | None:
    """A table that cannot be read is as good as none."""
    try:
        return tensor_file.read(file)[0]["table"]
    except (OSError, ValueError, KeyError):
        return None


def device_teacher_logits(network: Network, weights: Weights, images: Array, shift: int, device: str) -> Array:
    """What `feeding.teacher_table` gives, but for rounding, worked out by tinygrad in batches of one size."""
    tensors = {name: tensor(one, device) for name, one in weights.items()}
    step = TinyJit(lambda x: forward_tinygrad(network, tensors, x).realize())
    moved = shifted_views(images, shift)
    table = np.empty((moved.shape[1] * moved.shape[2], len(images), network.classes), np.float16)
    for place, (row, column) in enumerate(np.ndindex(moved.shape[1:3])):
        for start in range(0, len(images), BATCH):
            part = moved[start : start + BATCH, row, column].reshape(-1, images.shape[1])
            batch = np.zeros((BATCH, images.shape[1]), np.float32)
            batch[: len(part)] = part
            table[place, start : start + len(part)] = step(tensor(batch, device)).numpy()[: len(part)]
    return table
