"""Tensors on a device, synchronization, kernel counters, and the caches of a process.

Only processes that measure import this module; the page never does.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from tinygrad import Device, GlobalCounters, Tensor, TinyJit
from tinygrad.codegen import to_program_cache
from tinygrad.codegen.opt import Opt, OptOps
from tinygrad.helpers import Context

from experiments.bench.machine.device import Device as MachineDevice
from experiments.bench.tinygrad.capture import CallWork


def synchronizer(device: str) -> Callable[[], None]:
    """A call that waits until everything queued on `device` has run."""
    opened = Device[device]
    return lambda: opened.synchronize()


def tensor(array: "np.ndarray[Any, Any]", device: str) -> Any:
    """A realized tensor on `device` with the values of `array`; tinygrad copies only writable arrays to a GPU."""
    return Tensor(array if array.flags.writeable else array.copy(), device=device).realize()


def normal(rng: np.random.Generator, *shape: int, device: str, scale: float = 1.0) -> Any:
    """A realized float32 tensor of normally distributed values."""
    return tensor((rng.standard_normal(shape) * scale).astype(np.float32), device)


def contiguous_upcast(tensor: Any, axis: int, amount: int) -> Any:
    """`tensor` in a new buffer, by a kernel with `axis` upcast by `amount` (a vector or an unrolled loop)."""
    return tensor.contiguous(arg=(Opt(OptOps.UPCAST, axis, amount),))


def stored(result: Any) -> "np.ndarray[Any, Any]":
    """All elements of a realized result's buffer, flattened.

    The result of a symbolic replay has the shape of the capture; its buffer has room for the largest shape.
    """
    numbers: np.ndarray[Any, Any] = Tensor(result.uop.base).numpy()
    return numbers.ravel()


def compiled_programs() -> int:
    """Number of kernels that this process has compiled or loaded so far."""
    return len(to_program_cache)


def warm_up_compiler(device: str) -> None:
    """Compiles one tiny kernel: the first compilation of a process is an outlier that no experiment should measure."""
    (Tensor([1.0, 2.0], device=device) + 1).realize()
    Device[device].synchronize()


def without_cuda_graph(device: str) -> AbstractContextManager[Any]:
    """A context in which a TinyJit captured on CUDA launches kernels one by one, without a CUDA graph (JIT=2).

    tinygrad's CUDA graph fails for two kinds of programs. It is built with every variable at 0, and a launch over a
    size of 0 is refused (`CUDA Error 1, invalid argument`). And where one program first copies its whole input to
    several devices, half of the result for the first of several inputs is wrong (seen on two H100s and two H200s).
    """
    context: AbstractContextManager[Any] = (
        Context(JIT=2) if MachineDevice.parse(device).family.has_limited_graphs else nullcontext()
    )
    return context


class Counted:
    """Counts the kernels that run inside a `with` block, by tinygrad's own counters."""

    def __enter__(self) -> "Counted":
        GlobalCounters.reset()
        return self

    def __exit__(self, *_: object) -> None:
        self.work = CallWork(
            GlobalCounters.kernel_count, int(GlobalCounters.global_ops), int(GlobalCounters.global_mem)
        )


class PerShapeJit:
    """One TinyJit per input shape, since a captured program accepts no other shape; counts captures."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._jits: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *inputs: Any) -> Any:
        """Runs the program for these inputs' shapes: eager at first, then a capture, then replays.

        Every replay returns the same tensor and overwrites its values.
        """
        return self.of(*inputs)(*inputs)

    def of(self, *inputs: Any) -> Any:
        """The TinyJit for these inputs' shapes."""
        shapes = tuple((one.shape, one.dtype, one.device) for one in inputs)
        if shapes not in self._jits:
            self._jits[shapes] = TinyJit(self._function)
        return self._jits[shapes]

    @property
    def captures(self) -> int:
        """Programs captured so far."""
        return sum(jit.captured is not None for jit in self._jits.values())
