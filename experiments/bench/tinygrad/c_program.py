"""What an exported program is made of: kernels as C text, constant weights, and where everything else lies."""

from dataclasses import dataclass
from typing import Literal

from experiments.bench.arrays import Array

BufferKind = Literal["input", "output", "weight", "arena"]


class NotExportable(ValueError):
    """A captured network that C cannot be made of: one line that names what is in the way."""


@dataclass(frozen=True)
class Argument:
    """What one parameter of a kernel points to: the index of a weight, or the offset in bytes within the arena."""

    place: BufferKind
    where: int = 0


@dataclass(frozen=True)
class CKernel:
    """One kernel: its name in tinygrad, its parameters and body in C, what it is called with, in order."""

    name: str
    parameters: str
    body: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, eq=False)
class CProgram:
    """One call of a network as C: float32 `inputs` to float32 `outputs` (counts of numbers)."""

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
