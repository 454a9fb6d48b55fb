"""An exported program: kernels as C text, constant weights, and the layout of its memory."""

from dataclasses import dataclass
from typing import Literal

from experiments.bench.arrays import Array

BufferKind = Literal["input", "output", "weight", "arena"]


class NotExportable(ValueError):
    """A captured network that cannot be exported to C; one line names the obstacle."""


@dataclass(frozen=True)
class Argument:
    """The target of one kernel parameter; `where` is the index of a weight, or the offset in the arena in bytes."""

    place: BufferKind
    where: int = 0


@dataclass(frozen=True)
class CKernel:
    """One kernel: its name in tinygrad, its parameters and body in C, its arguments in order."""

    name: str
    parameters: str
    body: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, eq=False)
class CProgram:
    """One call of a network as C; `inputs` and `outputs` are numbers of float32 elements."""

    inputs: int
    outputs: int
    arena_bytes: int
    vectors: tuple[tuple[str, int], ...]
    weights: tuple[Array, ...]
    kernels: tuple[CKernel, ...]

    @property
    def weights_bytes(self) -> int:
        """Bytes of all constants of the program."""
        return sum(one.nbytes for one in self.weights)
