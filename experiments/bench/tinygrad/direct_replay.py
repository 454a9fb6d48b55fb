"""The adapter to what a replay on the CPU does at bottom (tinygrad 0.14.0, engine.realize and runtime.ops_cpu).

A captured kernel is a C function and the addresses of its buffers. A replay through TinyJit spends most of a short
call on finding both again; here they are found once.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad.engine.realize import get_runtime, resolve_params, unwrap_multi
from tinygrad.uop.ops import Ops

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.capture import calls

CORE = "core_id"  # the only variable of a kernel that a replay here can set


class CannotReplay(Exception):
    """This capture is not a chain of plain CPU kernels; says why in a few words."""


class DirectReplay:
    """The kernels of a captured TinyJit of one float32 input, launched one after another by the calling thread.

    `input` is the captured input buffer as an array: write into it, then call. `output` is the buffer of the
    result, which the next call overwrites. Not thread-safe, and right only as long as `jit`, `tensor` and `result`
    live: they are kept.
    """

    def __init__(self, jit: Any, tensor: Any, result: Any) -> None:
        if tensor.device != "CPU":
            raise CannotReplay(f"{tensor.device} is not the CPU")
        if result.dtype.name != "float" or tensor.dtype.name != "float":
            raise CannotReplay("input and result are not float32")
        self._kept = (jit, tensor, result)
        found = list(calls(jit))
        if any(batched or call.src[0].op is not Ops.PROGRAM for call, batched in found):
            raise CannotReplay("not all that was captured is a kernel")
        self._launches = [launch for call, _ in found for launch in _launches(call, tensor.uop.base)]
        self.input = _array(tensor)
        self.output = _array(result)

    def __call__(self) -> None:
        """Runs the kernels on what `input` holds; returns when `output` holds the result."""
        for function, arguments in self._launches:
            function(*arguments)


def _launches(call: Any, given: Any) -> list[tuple[Callable[..., None], list[Any]]]:
    """The C function of one kernel with its arguments, once for each thread that it was compiled for."""
    program = call.src[0]
    resolved = resolve_params(call, (given,))
    [(buffers, variables)] = unwrap_multi(call, [resolved[place] for place in program.arg.globals])
    runtime = get_runtime("CPU", program)
    names = [one.expr for one in program.arg.vars]
    if variables or runtime.lvp or names not in ([], [CORE]):
        raise CannotReplay("a kernel wants more than its buffers")
    if not names and program.arg.global_size not in (None, (1, 1, 1)):
        raise CannotReplay("a kernel is launched in groups")
    addresses = [ctypes.c_uint64(int(one.ensure_allocated().get_buf("CPU").va_addr)) for one in buffers]
    cores = program.arg.global_size[0] if names else 1
    return [(runtime.fxn, [*addresses, *([ctypes.c_uint64(core)] if names else [])]) for core in range(cores)]


def _array(tensor: Any) -> Array:
    """The tensor's own memory as an array of its shape."""
    buffer = tensor.uop.base.buffer.ensure_allocated()
    values = np.frombuffer(buffer.as_memoryview(force_zero_copy=True), np.float32)
    if values.size != np.prod(tensor.shape):
        raise CannotReplay("a tensor is a part of its buffer")
    return values.reshape(tensor.shape)
