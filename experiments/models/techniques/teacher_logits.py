"""The logits of a trained network for every shifted training image, computed once per machine."""

from pathlib import Path

import numpy as np
from tinygrad import TinyJit

from experiments.bench.arrays import Array
from experiments.bench.machine.device import Device
from experiments.bench.machine.toolchain import cache_folder
from experiments.bench.tinygrad.runtime import tensor
from experiments.models import tensor_file
from experiments.models.data.mnist import Split
from experiments.models.sequential.forward import forward_tinygrad
from experiments.models.sequential.network import Network, Weights
from experiments.models.training.checkpoints import Checkpoint, checkpoint_key
from experiments.models.training.feeding import TEACHER_VERSION, shifted_views, teacher_logits

BATCH = 1000


def cached_teacher_logits(teacher: Checkpoint, train: Split, shift: int, device: str) -> Array:
    """`Teacher.logits` for `train`, from this machine's cache or computed and cached."""
    name = (
        f"{teacher.network.name}-{checkpoint_key(teacher.network, teacher.settings)}-{shift}-{len(train)}.safetensors"
    )
    if TEACHER_VERSION != 1:  # release 0.1 had no version in this name
        name = f"v{TEACHER_VERSION}-{name}"
    file = cache_folder() / "teachers" / name  # the teacher's key includes its data, which are the student's too
    if (cached := _cached(file)) is not None:
        return cached
    if Device.parse(device).is_cpu:  # numpy is three times as fast as tinygrad's convolutions there
        table = teacher_logits(teacher.network, teacher.weights, train.images, shift)
    else:
        table = device_teacher_logits(teacher.network, teacher.weights, train.images, shift, device)
    tensor_file.write(file, {"table": table})
    return table


def _cached(file: Path) -> Array | None:
    """The cached logits; None if there are none or the file is damaged, since they can be computed again."""
    try:
        return tensor_file.read(file)[0]["table"]
    except (OSError, ValueError, KeyError):
        return None


def device_teacher_logits(network: Network, weights: Weights, images: Array, shift: int, device: str) -> Array:
    """The same as `feeding.teacher_logits` up to rounding, computed by tinygrad in batches of one size."""
    tensors = {name: tensor(one, device) for name, one in weights.items()}
    step = TinyJit(lambda x: forward_tinygrad(network, tensors, x).realize())
    moved = shifted_views(images, shift)
    table = np.empty((moved.shape[1] * moved.shape[2], len(images), network.classes), np.float16)
    for node, (row, column) in enumerate(np.ndindex(moved.shape[1:3])):
        for start in range(0, len(images), BATCH):
            part = moved[start : start + BATCH, row, column].reshape(-1, images.shape[1])
            batch = np.zeros((BATCH, images.shape[1]), np.float32)
            batch[: len(part)] = part
            table[node, start : start + len(part)] = step(tensor(batch, device)).numpy()[: len(part)]
    return table
