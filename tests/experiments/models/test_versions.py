"""Golden outputs of every technique: a change that alters them must raise the technique's VERSION.

The versions are part of cache keys, so that models built by other code are not found. Inputs are multiples of powers of
two, small enough for every float sum to be exact: the digests hold on every machine. Trained values are compared with a
tolerance, since the order of their sums differs between compilers: in training/test_trainer.py and
techniques/test_fine_tuning.py.
"""

import hashlib

import numpy as np
import pytest

from experiments.models.data.mnist import Split
from experiments.models.format import packed
from experiments.models.format.packed import LENGTH, MAGIC, pack, read_header
from experiments.models.sequential.network import Conv, Linear, Network
from experiments.models.techniques import prune_units, prune_weights
from experiments.models.techniques.prune_units import select_units, shrink, unit_masks
from experiments.models.techniques.prune_weights import apply_masks, pruning_masks
from experiments.models.techniques.quantization import post_training
from experiments.models.techniques.quantization.post_training import calibrate, quantize
from experiments.models.techniques.quantization.spec import QuantSpec
from experiments.models.training import feeding, settings
from experiments.models.training.feeding import Feeder, teacher_logits
from experiments.models.training.settings import Settings

NETWORK = Network(
    "golden",
    (Conv(1, 4, 3, stride=2, padding=1, relu=True, pool="max2"), Linear(16, 6, relu=True), Linear(6, 3)),
    (1, 8, 8),
)
SPECS = {
    "static": QuantSpec(),
    "static asymmetric": QuantSpec("static", 4, 6, "per_tensor", "asymmetric", "mse"),
    "dynamic": QuantSpec("dynamic"),
    "weight only": QuantSpec("weight_only", 3),
    "float16": QuantSpec("float16"),
    "float32": QuantSpec("float32"),
}


def dyadic(seed, *shape):
    """Multiples of 1/16 from -1 to 1, float32."""
    return (np.random.default_rng(seed).integers(-16, 17, shape) / 16).astype(np.float32)


def weights():
    return {name: dyadic(number, *shape) for number, (name, shape) in enumerate(NETWORK.shapes().items())}


def images(count=32):
    return np.abs(dyadic(99, count, 64))


def digest(*values):
    """16 hexadecimal digits of arrays (type, shape, bytes) and texts, nested in mappings or sequences."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, dict):
            for name, one in sorted(value.items()):
                found.update(f"{name}:{digest(one)}".encode())
        elif isinstance(value, list | tuple):
            found.update(",".join(digest(one) for one in value).encode())
        elif isinstance(value, np.ndarray):
            found.update(f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            found.update(repr(value).encode())
    return found.hexdigest()[:16]


def quantized(spec):
    return quantize(NETWORK, weights(), spec, calibrate(NETWORK, weights(), images()))


def quantized_layer(layer):
    found = [layer.weight, layer.bias]
    for qparams in (layer.weight_qparams, layer.input_qparams):
        found += [qparams.scales, qparams.zero_points, qparams.qmin, qparams.qmax] if qparams else [None]
    return found


def stored(model, storage):
    """A packed file as its header's values and the bytes of its layers: zlib may compress the header differently."""
    file = pack(model, storage)
    start = len(MAGIC) + LENGTH.size
    end = start + LENGTH.unpack_from(file, len(MAGIC))[0]
    return [file[:8], read_header(file[start:end]), file[end:-4]]


def batches():
    """The images that training is given: shuffled, shifted, in chunks."""
    split = Split(images(), np.arange(32) % 3)
    feeder = Feeder(split, Settings(batch=8, seed=5))
    return [[chunk.images, chunk.labels] for epoch in (0, 1) for chunk in feeder.epoch(epoch, 3)]


def pruned_weights():
    methods = [("magnitude", "global", 0.7), ("magnitude", "layer", 0.7), ("lamp", "global", 0.7)]
    methods += [("random", "global", 0.7), ("2:4", "global", None)]
    return [pruning_masks(NETWORK, weights(), amount, method, scope) for method, scope, amount in methods]


def pruned_units():
    chosen = [select_units(NETWORK, weights(), 0.5, score, seed=1) for score in ("l1", "l2", "random")]
    chosen.append(select_units(NETWORK, weights(), 0.5, "taylor", gradients=[weights()]))
    return [[one, unit_masks(NETWORK, one), shrink(NETWORK, weights(), one)[1]] for one in chosen]


def sparse():
    """A model with many zeros, for the encodings that use them."""
    masks = pruning_masks(NETWORK, weights(), 0.8)
    return quantize(NETWORK, apply_masks(weights(), masks), QuantSpec("weight_only", 4))


TECHNIQUES = {
    "training data": (settings, "VERSION", batches),
    "teacher logits": (feeding, "TEACHER_VERSION", lambda: teacher_logits(NETWORK, weights(), images(), 1)),
    "prune weights": (prune_weights, "VERSION", pruned_weights),
    "prune units": (prune_units, "VERSION", pruned_units),
    "pack sparse": (packed, "VERSION", lambda: [stored(sparse(), one) for one in ("bitmask", "csr", "entropy")]),
}
for label, spec in SPECS.items():
    layers = lambda spec=spec: [quantized_layer(one) for one in quantized(spec).layers]  # noqa: E731
    TECHNIQUES[f"quantize {label}"] = (post_training, "VERSION", layers)
    for storage in ("dense", "smallest", "entropy"):
        file = lambda spec=spec, storage=storage: stored(quantized(spec), storage)  # noqa: E731
        TECHNIQUES[f"pack {label} {storage}"] = (packed, "VERSION", file)

GOLDEN = {
    ("training data", 1): "3ca566a1649e9b71",
    ("teacher logits", 1): "2ff534409e669f55",
    ("prune weights", 1): "920d38ca4c531c70",
    ("prune units", 1): "fe808561b042c793",
    ("quantize static", 1): "f62a9d69e412adee",
    ("quantize static asymmetric", 1): "dbe5f4aa9469af44",
    ("quantize dynamic", 1): "a818a5205463b8bb",
    ("quantize weight only", 1): "c63fd5144aeef142",
    ("quantize float16", 1): "5535f7b372716190",
    ("quantize float32", 1): "ac4b218ab51f58b9",
    ("pack static dense", 1): "cc66d9ed5468a962",
    ("pack static smallest", 1): "850c67fce01dd17a",
    ("pack static entropy", 1): "99937f178d0ea672",
    ("pack static asymmetric dense", 1): "c4b1d06173275895",
    ("pack static asymmetric smallest", 1): "3b3395f74c55e288",
    ("pack static asymmetric entropy", 1): "65351a33508e3aae",
    ("pack dynamic dense", 1): "03364c6c875e7704",
    ("pack dynamic smallest", 1): "03a0a3c43e74eab0",
    ("pack dynamic entropy", 1): "faa9d4fc8bdfbb86",
    ("pack weight only dense", 1): "bd90e434a716e180",
    ("pack weight only smallest", 1): "45923f3a2c219f1d",
    ("pack weight only entropy", 1): "fb22805716889549",
    ("pack float16 dense", 1): "93a79395da087d18",
    ("pack float16 smallest", 1): "5f45aee69341a1ef",
    ("pack float16 entropy", 1): "3a972bb527de97b6",
    ("pack float32 dense", 1): "6b75261a3cf28c62",
    ("pack float32 smallest", 1): "aed8ba1a46e3a3e6",
    ("pack float32 entropy", 1): "ba377b0af5dd332d",
    ("pack sparse", 1): "4633135c26e0b047",
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_output_of_a_version_does_not_change(technique):
    module, name, output = TECHNIQUES[technique]
    version, found = getattr(module, name), digest(output())
    assert GOLDEN.get((technique, version)) == found, (
        f"the output of '{technique}' changed: raise {name} in {module.__name__}, and update this value"
    )
