"""A pruned network as programs to time: as it is stored, and fetching only what is not zero."""

from dataclasses import dataclass

import numpy as np

from experiments.bench.arrays import Array
from experiments.compression.pruning.gather import build_gather
from experiments.compression.pruning.pruned_models import Pruned
from experiments.models.compiled import CapturedNetwork, capture_network
from experiments.models.sequential.network import Network, forward_numpy
from experiments.models.techniques.quantization.tinygrad_backend import build_forward


@dataclass(frozen=True)
class Formed:
    """A captured program whose `form` is dense, smaller or gather."""

    form: str
    program: CapturedNetwork


def programs_of(network: Network, name: str, made: Pruned, device: str, images: Array) -> dict[str, Formed]:
    """The programs of a pruned form of `network`, by name, on `device`, captured and checked on `images`.

    `name` is the model as its file restores it. `name gather` comes with it where weights are gone and layers are
    sparse enough. They are checked against the whole network with zeros in numpy float64.
    """
    smaller = made.model.network != network
    functions = {name: ("smaller" if smaller else "dense", build_forward(made.model, device))}
    if not smaller and (gather := build_gather(network, made.weights, device)):
        functions[f"{name} gather"] = ("gather", gather)
    exact = {key: one.astype(np.float64) for key, one in made.weights.items()}
    reference = forward_numpy(network, exact, images.astype(np.float64))[:, made.outputs]
    return {
        key: Formed(form, capture_network(function, images, reference, device))
        for key, (form, function) in functions.items()
    }
