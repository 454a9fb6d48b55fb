"""Networks as data: layers with sizes, which training, quantization, pruning, packing and export iterate over.

Weights are a plain dict of arrays: `layers.0.weight`, shaped [out, in] (linear) or [out, in, height, width]
(convolution), and `layers.0.bias`, shaped [out].
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from experiments.bench.arrays import Array

Weights = dict[str, Array]
Pool = Literal["none", "max2", "average"]
LayerShape = tuple[int, ...]

NORMED = "cnn_normed"  # the cnn with batch normalization (see `batch_norm`)


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
        """The shape of one output for an input of `shape`; raises ValueError if they do not match."""
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
    """Layers in order, for images of shape `image`; raises ValueError if the shapes do not match."""

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
