"""The adapter to tinygrad's runtime (0.14.0): tensors on a device, waiting for it, caches of a process.

Only processes that measure import this module; the page never does.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from tinygrad import Device, GlobalCounters, Tensor, TinyJit
from tinygrad.codegen import to_program_cache
from tinygrad.helpers import Context

from experiments.bench.machine.device import Device as MachineDevice
from experiments.bench.tinygrad.capture import CallWork


def synchronizer(device: str) -> Callable[[], None]:
    """A call that returns once everything queued on `device` has run."""
    opened = Device[device]
    return lambda: opened.synchronize()


def tensor(array: "np.ndarray[Any, Any]", device: str) -> Any:
    """A realised tensor on `device` with the values of `array`, which tinygrad's GPUs copy only if it is writable."""
    return Tensor(array if array.flags.writeable else array.copy(), device=device).realize()


def normal(rng: np.random.Generator, *shape: int, device: str, scale: float = 1.0) -> Any:
    """A realised float32 tensor of seeded normal values."""
    return tensor((rng.standard_normal(shape) * scale).astype(np.float32), device)


def stored(result: Any) -> "np.ndarray[Any, Any]":
    """All numbers of the buffer that holds a realised result, in a row.

    The result of a symbolic replay still has the shape that it was captured with; its buffer holds the largest.
    """
    numbers: np.ndarray[Any, Any] = Tensor(result.uop.base).numpy()
    return numbers.ravel()


def compiled_programs() -> int:
    """Kernels that this process has compiled or loaded so far, and holds."""
    return len(to_program_cache)


def throw_away_compile(device: str) -> None:
    """Compiles one tiny kernel: the first compile of a process is an outlier that belongs to no experiment."""
    (Tensor([1.0, 2.0], device=device) + 1).realize()
    Device[device].synchronize()


def without_cuda_graph(device: str) -> AbstractContextManager[Any]:
    """Within it a TinyJit that captures on CUDA leaves tinygrad's graph out (JIT=2): kernels are launched one by one.

    For two kinds of programs that the graph of 0.14.0 does not hold. It is made with every variable at 0, and a launch
    over a size of 0 is refused (`CUDA Error 1, invalid argument`). And where one program first copies its input to
    several devices whole, the first of several inputs gives a wrong half (seen on two H100s and two H200s).
    """
    context: AbstractContextManager[Any] = (
        Context(JIT=2) if MachineDevice.parse(device).family.has_limited_graphs else nullcontext()
    )
    return context


class Counted:
    """Kernels that ran inside a `with` block, as tinygrad's own counters see them."""

    def __enter__(self) -> "Counted":
        GlobalCounters.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self.work = CallWork(
            GlobalCounters.kernel_count, int(GlobalCounters.global_ops), int(GlobalCounters.global_mem)
        )


class PerShapeJit:
    """One TinyJit per input shape, since a captured program accepts no other; counts what the shapes cost."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._jits: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *inputs: Any) -> Any:
        """Runs the program of these inputs' shapes: eager the first time, capturing the second, then replayed.

        The returned tensor is the same object at every replay and is overwritten by the next one.
        """
        return self.of(*inputs)(*inputs)

    def of(self, *inputs: Any) -> Any:
        """The TinyJit that serves these inputs."""
        shapes = tuple((one.shape, one.dtype, one.device) for one in inputs)
        if shapes not in self._jits:
            self._jits[shapes] = TinyJit(self._function)
        return self._jits[shapes]

    @property
    def captures(self) -> int:
        """Programs captured so far."""
        return sum(jit.captured is not None for jit in self._jits.values())
