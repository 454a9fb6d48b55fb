"""Networks as data: layers with sizes, which training, quantization, pruning, packing and export iterate over.

Weights are a plain dict of arrays: `layers.0.weight`, shaped [out, in] (linear) or [out, in, height, width]
(convolution), and `layers.0.bias`, shaped [out].
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.bench.arrays import Array

Weights = dict[str, Array]
Pool = Literal["none", "max2", "average"]
LayerShape = tuple[int, ...]
LayerHook = Callable[[str, Any], Any]

CHUNK_FLOATS = 2**22  # im2col of a whole test set would need gigabytes


@dataclass(frozen=True)
class Linear:
    """A matrix product and a bias; images are flattened channel by channel first."""

    inputs: int
    outputs: int
    relu: bool = False

    @property
    def weight_shape(self) -> LayerShape:
        """[out, in]."""
        return (self.outputs, self.inputs)

    def output_shape(self, shape: LayerShape) -> LayerShape:
        """The shape of one output for an input of `shape`; ValueError if they do not match."""
        if math.prod(shape) != self.inputs:
            raise ValueError(f"a linear layer of {self.inputs} inputs cannot follow an output of shape {shape}")
        return (self.outputs,)


@dataclass(frozen=True)
class Conv:
    """A square convolution and a bias, then ReLU, then pooling: `max2` over 2x2, `average` over the whole image."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    relu: bool = False
    pool: Pool = "none"

    @property
    def weight_shape(self) -> LayerShape:
        """[out, in, height, width]."""
        return (self.outputs, self.inputs, self.kernel, self.kernel)

    def positions(self, shape: LayerShape) -> tuple[int, int]:
        """Rows and columns of the result before pooling, for an input of [channels, height, width]."""
        if len(shape) != 3 or shape[0] != self.inputs:
            raise ValueError(f"a convolution of {self.inputs} channels cannot follow an output of shape {shape}")
        rows, columns = ((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in shape[1:])
        if rows < 1 or columns < 1 or (self.pool == "max2" and min(rows, columns) < 2):
            raise ValueError(f"a {self.kernel}x{self.kernel} convolution with pool {self.pool} does not fit {shape}")
        return rows, columns

    def output_shape(self, shape: LayerShape) -> LayerShape:
        """The shape of one output, after pooling, for an input of [channels, height, width]."""
        rows, columns = self.positions(shape)
        match self.pool:
            case "none":
                return (self.outputs, rows, columns)
            case "max2":
                return (self.outputs, rows // 2, columns // 2)
            case "average":
                return (self.outputs,)


Layer = Linear | Conv


@dataclass(frozen=True)
class LayerNode:
    """A layer of a network: its name, and the shapes of its input and output."""

    name: str
    layer: Layer
    input_shape: LayerShape
    output_shape: LayerShape

    @property
    def weight(self) -> str:
        """The name of the layer's weight."""
        return f"{self.name}.weight"

    @property
    def bias(self) -> str:
        """The name of the layer's bias."""
        return f"{self.name}.bias"


@dataclass(frozen=True)
class Network:
    """Layers in order, for images of shape `image`; ValueError if the shapes do not match."""

    name: str
    layers: tuple[Layer, ...]
    image: LayerShape = (1, 28, 28)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        if any(min(layer.weight_shape) < 1 for layer in self.layers):
            raise ValueError("every layer needs at least one input and one output")
        self.walk()

    @property
    def classes(self) -> int:
        """Number of outputs of the last layer."""
        return self.layers[-1].outputs

    def walk(self) -> list[LayerNode]:
        """The layers in order, each with its name and shapes."""
        nodes, shape = [], self.image
        for number, layer in enumerate(self.layers):
            after = layer.output_shape(shape)
            nodes.append(LayerNode(f"layers.{number}", layer, shape, after))
            shape = after
        return nodes

    def shapes(self) -> dict[str, LayerShape]:
        """The shape of every weight and bias, by name."""
        shapes: dict[str, LayerShape] = {}
        for node in self.walk():
            shapes |= {node.weight: node.layer.weight_shape, node.bias: (node.layer.outputs,)}
        return shapes


def mlp(inputs: int = 784, hidden: int = 128, outputs: int = 10) -> Network:
    """The course's network: one hidden layer, 101,770 parameters."""
    return dense("mlp", (inputs, hidden, outputs))


def lenet_300_100(first: int = 300, second: int = 100, inputs: int = 784, outputs: int = 10) -> Network:
    """Two hidden layers, 266,610 parameters. Source: LeCun et al. 1998; the usual network of pruning papers."""
    return dense("lenet_300_100", (inputs, first, second, outputs))


def cnn(first: int = 16, second: int = 32, kernel: int = 5, stride: int = 3, outputs: int = 10) -> Network:
    """The course's exercise: two convolutions with ReLU, the average over all positions, one linear layer.

    13,578 parameters. `stride` is that of the first convolution: each of the averaged positions then covers a large
    part of the digit, which an average needs to distinguish digits. The second has none, since tinygrad's gradient
    of a strided convolution by its input takes ten times as long.
    """
    return Network(
        "cnn",
        (
            Conv(1, first, kernel, stride, padding=kernel // 2, relu=True),
            Conv(first, second, kernel, relu=True, pool="average"),
            Linear(second, outputs),
        ),
    )


def lenet_5(first: int = 20, second: int = 50, hidden: int = 500, outputs: int = 10) -> Network:
    """Two 5x5 convolutions with max pooling and two linear layers, 431,080 parameters. Source: LeNet of Caffe."""
    return Network(
        "lenet_5",
        (
            Conv(1, first, 5, relu=True, pool="max2"),
            Conv(first, second, 5, relu=True, pool="max2"),
            Linear(second * 16, hidden, relu=True),
            Linear(hidden, outputs),
        ),
    )


NETWORKS: dict[str, Callable[..., Network]] = {
    "mlp": mlp,
    "lenet_300_100": lenet_300_100,
    "cnn": cnn,
    "lenet_5": lenet_5,
}


def dense(name: str, widths: tuple[int, ...]) -> Network:
    """Linear layers of these widths with ReLU between them, for flattened images of `widths[0]` pixels."""
    last = len(widths) - 2
    pairs = enumerate(itertools.pairwise(widths))
    return Network(name, tuple(Linear(into, out, relu=number < last) for number, (into, out) in pairs), (widths[0],))


def parameter_count(network: Network) -> int:
    """Number of weights and biases."""
    return sum(math.prod(shape) for shape in network.shapes().values())


def initial_weights(network: Network, seed: int) -> Weights:
    """Seeded float32 weights before training: normal with variance 2 / inputs of a unit; biases are zero.

    Source: He et al. 2015, Delving Deep into Rectifiers.
    """
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for node in network.walk():
        shape = node.layer.weight_shape
        scale = math.sqrt(2 / math.prod(shape[1:]))
        weights[node.weight] = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights[node.bias] = np.zeros(shape[0], np.float32)
    return weights


def check_weights(network: Network, weights: Mapping[str, Array]) -> None:
    """Raises ValueError with one line unless `weights` are finite numbers in the shapes of `network`."""
    wanted = network.shapes()
    if missing := sorted(wanted.keys() ^ weights.keys()):
        raise ValueError(f"weights of another network: {network.name} has {', '.join(wanted)}; differs in {missing[0]}")
    for name, shape in wanted.items():
        if weights[name].shape != shape:
            raise ValueError(f"weights of another network: {name} is {weights[name].shape}, {network.name} has {shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{name} holds NaN or infinity")


def forward_numpy(
    network: Network, weights: Mapping[str, Array], images: Array, before: LayerHook | None = None
) -> Array:
    """Logits (n, classes) of images (n, pixels) in the precision of `weights` and `images`.

    `before(name, x)` is called with the input of each layer, in the layer's input shape, and returns the input to
    use: to observe activations (return x) or to replace them. Convolutions are computed in chunks of images.
    """
    return np.concatenate([_forward_chunk(network, weights, chunk, before) for chunk in image_chunks(network, images)])


def image_chunks(network: Network, images: Array) -> list[Array]:
    """`images` in at least one part, each small enough for the im2col convolutions of `network`."""
    step = len(images) or 1
    for node in network.walk():
        if isinstance(node.layer, Conv):
            unrolled = math.prod(node.layer.positions(node.input_shape)) * math.prod(node.layer.weight_shape[1:])
            step = min(step, max(1, CHUNK_FLOATS // unrolled))
    return [images[start : start + step] for start in range(0, len(images), step)] or [images]


def _forward_chunk(network: Network, weights: Mapping[str, Array], images: Array, before: LayerHook | None) -> Array:
    x = images
    for node in network.walk():
        flat = isinstance(node.layer, Linear)
        x = x.reshape(len(x), *((node.layer.inputs,) if flat else node.input_shape))
        x = before(node.name, x) if before else x
        x = apply_numpy(node.layer, weights[node.weight], weights[node.bias], x)
    return x


def apply_numpy(layer: Layer, weight: Array, bias: Array, x: Array) -> Array:
    """One layer in numpy: product, bias, ReLU, pooling. x is (n, inputs) or (n, channels, height, width)."""
    x = product_numpy(layer, weight, x)
    x += bias.reshape(-1, *[1] * (x.ndim - 2))
    if layer.relu:
        np.maximum(x, 0, out=x)
    return pool_numpy(layer, x)


def product_numpy(layer: Layer, weight: Array, x: Array) -> Array:
    """The product alone, without bias, ReLU and pooling; integer inputs give integer results."""
    if isinstance(layer, Linear):
        return np.asarray(x @ weight.T)
    if layer.padding:
        edge = (layer.padding, layer.padding)
        x = np.pad(x, ((0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(2, 3))
    windows = windows[:, :, :: layer.stride, :: layer.stride].transpose(0, 1, 4, 5, 2, 3)
    count, rows, columns = len(x), *windows.shape[-2:]
    unrolled = windows.reshape(count, weight[0].size, rows * columns)
    return np.asarray(weight.reshape(layer.outputs, -1) @ unrolled).reshape(count, layer.outputs, rows, columns)


def pool_numpy(layer: Layer, x: Array) -> Array:
    """The pooling of a layer, if it has one; an odd last row or column is dropped."""
    if isinstance(layer, Linear) or layer.pool == "none":
        return x
    if layer.pool == "average":
        return np.asarray(x.mean(axis=(2, 3)))
    rows, columns = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = np.maximum(x[:, :, 0:rows:2, :columns], x[:, :, 1:rows:2, :columns])
    return np.asarray(
        np.maximum(x[..., 0::2], x[..., 1::2])
    )  # numpy takes 20 times as long for a maximum over tiny axes


def accuracy_numpy(network: Network, weights: Mapping[str, Array], images: Array, labels: Array) -> float:
    """The share of `images` whose largest logit is that of their label, 0..1."""
    return float((forward_numpy(network, weights, images).argmax(axis=1) == labels).mean())


def forward_tinygrad(network: Network, tensors: Mapping[str, Any], x: Any) -> Any:
    """Logits of a tinygrad tensor of images (n, pixels).

    Each layer's result is made contiguous: otherwise tinygrad 0.14.0 computes it a second time in the backward pass.
    """
    for node in network.walk():
        flat = isinstance(node.layer, Linear)
        x = x.reshape(x.shape[0], -1) if flat else x.reshape(x.shape[0], *node.input_shape)
        x = apply_tinygrad(node.layer, tensors[node.weight], tensors[node.bias], x)
    return x


def apply_tinygrad(layer: Layer, weight: Any, bias: Any, x: Any) -> Any:
    """One layer of tinygrad tensors, as `apply_numpy`."""
    if isinstance(layer, Linear):
        x = x.linear(weight.transpose(), bias)
        return x.relu().contiguous() if layer.relu else x
    x = x.conv2d(weight, bias, stride=layer.stride, padding=layer.padding)
    if layer.pool == "average":  # otherwise the gradient of the mean is computed again for every weight of the kernel
        x = x.contiguous_backward()
    x = (x.relu() if layer.relu else x).contiguous()
    if layer.pool == "average":
        return x.mean((2, 3)).contiguous()
    return _halve(x) if layer.pool == "max2" else x


def _halve(x: Any) -> Any:
    """The maximum of each 2x2 square; written as one maximum, its gradient is twice as fast as max_pool2d's."""
    count, channels, rows, columns = x.shape
    x = x.shrink((None, None, (0, rows // 2 * 2), (0, columns // 2 * 2)))
    return x.reshape(count, channels, rows // 2, 2, columns // 2, 2).max((3, 5)).contiguous()
