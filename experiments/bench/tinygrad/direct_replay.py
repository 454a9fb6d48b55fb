"""Calls the CPU kernels of a captured TinyJit directly (tinygrad.engine.realize and tinygrad.runtime.ops_cpu).

A captured kernel is a C function and the addresses of its buffers. TinyJit looks both up at every replay, which is
most of the time of a short call; here they are looked up once.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad.engine.realize import get_runtime, resolve_params, unwrap_multi
from tinygrad.uop.ops import Ops

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.capture import calls

CORE = "core_id"  # the only kernel variable that can be set here


class CannotReplay(Exception):
    """The capture is not a chain of plain CPU kernels; the message is the reason in a few words."""


class DirectReplay:
    """The kernels of a captured TinyJit with one float32 input, launched in order by the calling thread.

    `input` is the captured input buffer as an array: write to it, then call. `output` is the result's buffer, which
    the next call overwrites. Not thread-safe. Holds references to `jit`, `tensor` and `result`, whose memory it uses.
    """

    def __init__(self, jit: Any, tensor: Any, result: Any) -> None:
        if tensor.device != "CPU":
            raise CannotReplay(f"{tensor.device} is not the CPU")
        if result.dtype.name != "float" or tensor.dtype.name != "float":
            raise CannotReplay("input and result are not float32")
        self._references = (jit, tensor, result)
        found = list(calls(jit))
        if any(batched or call.src[0].op is not Ops.PROGRAM for call, batched in found):
            raise CannotReplay("the capture contains more than kernels")
        self._launches = [launch for call, _ in found for launch in _launches(call, tensor.uop.base)]
        self.input = _array(tensor)
        self.output = _array(result)

    def __call__(self) -> None:
        """Runs the kernels on `input`; returns when `output` holds the result."""
        for function, arguments in self._launches:
            function(*arguments)


def _launches(call: Any, given: Any) -> list[tuple[Callable[..., None], list[Any]]]:
    """The C function of one kernel with its arguments, once per thread that it was compiled for."""
    program = call.src[0]
    resolved = resolve_params(call, (given,))
    [(buffers, variables)] = unwrap_multi(call, [resolved[place] for place in program.arg.globals])
    runtime = get_runtime("CPU", program)
    names = [one.expr for one in program.arg.vars]
    if variables or runtime.lvp or names not in ([], [CORE]):
        raise CannotReplay("a kernel needs more than its buffers")
    if not names and program.arg.global_size not in (None, (1, 1, 1)):
        raise CannotReplay("a kernel is launched in groups")
    addresses = [ctypes.c_uint64(int(one.ensure_allocated().get_buf("CPU").va_addr)) for one in buffers]
    cores = program.arg.global_size[0] if names else 1
    return [(runtime.fxn, [*addresses, *([ctypes.c_uint64(core)] if names else [])]) for core in range(cores)]


def _array(tensor: Any) -> Array:
    """The tensor's memory as an array of its shape, without a copy."""
    buffer = tensor.uop.base.buffer.ensure_allocated()
    values = np.frombuffer(buffer.as_memoryview(force_zero_copy=True), np.float32)
    if values.size != np.prod(tensor.shape):
        raise CannotReplay("a tensor is only part of its buffer")
    return values.reshape(tensor.shape)
