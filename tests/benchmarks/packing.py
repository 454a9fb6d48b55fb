"""Bytes and seconds of every storage: `python -m tests.benchmarks.packing [SPARSITY ...]`.

The carried lenet_300_100 in float32, its smallest weights by LAMP set to zero without training: what a pruning sweep
packs and restores dozens of times. CPU seconds, so that a busy machine changes little.
"""

import sys
import time
from typing import get_args

from experiments.models.format.packed import pack, unpack
from experiments.models.format.storage import Storage
from experiments.models.sequential.network import lenet_300_100
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks
from experiments.models.techniques.quantization.post_training import quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training.checkpoints import load_checkpoint
from tests.benchmarks.sizes import size


def main(sparsities: list[float]) -> None:
    network = lenet_300_100()
    weights = load_checkpoint(network).weights
    print("sparsity storage     bytes  pack s  unpack s")
    for sparsity in sparsities or size([0.0, 0.9, 0.99], [0.99]):
        pruned = apply_masks(weights, pruning_masks(network, weights, sparsity, "lamp"))
        model = quantize(network, pruned, QuantSpec("float32"))
        for storage in get_args(Storage):
            began = time.process_time()
            file = pack(model, storage)
            packed = time.process_time()
            unpack(file)
            print(
                f"{sparsity:8g} {storage:9} {len(file):8,} {packed - began:6.2f} {time.process_time() - packed:8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main([float(one) for one in sys.argv[1:]])
