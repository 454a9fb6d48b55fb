"""Run with -m: uses, fits and restarts the codebooks of a small network; prints what it saw as JSON."""

import json

import numpy as np
from tinygrad import Tensor

from experiments.compression.record.codebooks import Codebooks
from experiments.models.sequential.forward import initial_weights
from experiments.models.sequential.network import mlp

NAME = "layers.0.weight"


def main():
    network = mlp(8, 5, 3)
    weights = initial_weights(network, 1)
    weights[NAME][:, ::2] = 0
    codebooks = Codebooks(network, "CPU", 4, 2)

    def hooked():
        """The weight of the forward pass, and the gradient of three times its sum."""
        weight = Tensor(weights[NAME])
        value = codebooks.hook(NAME, weight)
        return value.numpy(), (value * 3).sum().gradient(weight)[0].numpy()

    seen = {"off": bool((hooked()[0] == weights[NAME]).all())}
    codebooks.fit(weights)
    value, gradient = hooked()
    seen |= {"value": value.tolist(), "weight": weights[NAME].tolist(), "gradient": np.unique(gradient).tolist()}
    seen |= {"applied": codebooks.apply(weights)[NAME].tolist(), "numbers": codebooks.values[NAME].tolist()}
    first = codebooks.values[NAME]
    codebooks.fit({name: array * 2 for name, array in weights.items()})
    seen["moved"] = float(np.abs(codebooks.values[NAME]).max() / np.abs(first).max())
    codebooks.restart()
    seen["off again"] = bool((hooked()[0] == weights[NAME]).all())
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
