"""From a captured TinyJit to C (tinygrad.engine.realize and tinygrad.renderer.cstyle).

The kernels are those that the CPU device replays, rendered again in a dialect that gcc, clang and zig compile.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tinygrad import dtypes
from tinygrad.dtype import AddrSpace
from tinygrad.engine.realize import get_call_arg_uops
from tinygrad.helpers import Context, ansistrip
from tinygrad.renderer.cstyle import ClangRenderer
from tinygrad.uop.ops import Ops

from experiments.bench.arrays import Array
from experiments.bench.tinygrad.c_program import Argument, CKernel, CProgram, NotExportable
from experiments.bench.tinygrad.capture import calls, capture

ALIGNMENT = 64  # of every tensor in the arena: the widest vector registers
TYPES = {
    dtypes.bool: "u8",
    dtypes.int8: "i8",
    dtypes.uint8: "u8",
    dtypes.int16: "i16",
    dtypes.uint16: "u16",
    dtypes.int32: "i32",
    dtypes.uint32: "u32",
    dtypes.int64: "i64",
    dtypes.uint64: "u64",
    dtypes.float32: "f32",
}


class PortableRenderer(ClangRenderer):  # type: ignore[misc]
    """tinygrad's C with fixed-width types, vector types that gcc supports, and no calls to the C library."""

    type_map = TYPES
    code_for_op = ClangRenderer.code_for_op | {Ops.TRUNC: lambda x, dtype: f"truncated({x})"}

    def __init__(self) -> None:
        """Without a target: the code is compiled elsewhere."""
        self.vectors: set[tuple[str, int]] = set()

    def _render_dtype(self, dtype: Any, sz: int = 1, *others: Any, **named: Any) -> str:
        if dtype not in TYPES:
            raise NotExportable(f"{dtype.name} has no type in portable C")
        if sz == 1:
            return str(super()._render_dtype(dtype, sz, *others, **named))
        if sz & (sz - 1):
            raise NotExportable(f"gcc has no vectors of {sz} numbers")
        self.vectors.add((TYPES[dtype], sz))
        return str(super()._render_dtype(dtype, sz, *others, **named)).replace(
            f"{TYPES[dtype]}{sz}", f"{TYPES[dtype]}x{sz}"
        )

    def render_kernel(self, function_name: Any, kernel: Any, bufs: Any, uops: Any, prefix: Any = None) -> Any:
        """Returns parameters and body separately; buffers that a kernel only reads are const."""
        parameters = []
        for name, (buffer, mutable) in bufs:
            kind = self._render_dtype(buffer.dtype, 1, AddrSpace.GLOBAL)
            parameters.append(f"{'' if mutable else 'const '}{kind} restrict {name}")
        return ", ".join(parameters), "\n".join(kernel)


def export(function: Callable[[Any], Any], inputs: Any, *, noopt: bool = False) -> tuple[Any, CProgram]:
    """Captures `function` of one realized float32 tensor on the CPU; returns the TinyJit and its program.

    With `noopt` tinygrad does not optimize the loops; C compilers vectorize them where the sums are of integers.
    Raises NotExportable with a one-line message if a kernel, a copy or a weight cannot be exported.
    """
    with Context(NOOPT=int(noopt), NUM_CPU_THREADS=1):
        jit, result = capture(function, inputs)
    return jit, program_of(jit, inputs.numel(), result)


def program_of(jit: Any, inputs: int, result: Any) -> CProgram:
    """The program of a captured TinyJit with one input of `inputs` float32 elements, whose output is `result`."""
    renderer, memory = PortableRenderer(), _Memory(result.uop.base.buffer.base)
    captured = list(_programs(jit))
    for call, program in captured:
        for number in program.arg.outs:
            memory.note_written(get_call_arg_uops(call)[number])
    kernels = []
    for call, program in captured:
        arguments = [memory.argument(get_call_arg_uops(call)[number]) for number in program.arg.globals]
        parameters, body = renderer.render(list(program.src[1].src))
        kernels.append(CKernel(ansistrip(program.arg.name), parameters, body, tuple(arguments)))
    vectors = tuple(sorted(renderer.vectors))
    return CProgram(inputs, result.numel(), memory.arena_bytes, vectors, tuple(memory.weights), tuple(kernels))


def _programs(jit: Any) -> Iterator[tuple[Any, Any]]:
    if jit.captured is None:
        raise NotExportable("nothing was captured: call the network twice first")
    for call, batched in calls(jit):
        program = call.src[0]
        if batched:
            raise NotExportable("graph calls cannot be exported: capture on the CPU device")
        if program.op is Ops.COPY:
            raise NotExportable("a copy between devices cannot be exported: keep the network on one device")
        if program.op is not Ops.PROGRAM:
            raise NotExportable(f"{program.op.name} cannot be exported: it is not a kernel")
        if not str(call.src[1].device).startswith("CPU"):
            raise NotExportable(f"kernels of {call.src[1].device} cannot be exported: capture on the CPU device")
        if program.arg.vars:
            name = program.arg.vars[0].expr
            raise NotExportable(f"the symbolic variable {name} cannot be exported: fix the shape")
        yield call, program


class _Memory:
    """Assigns the buffers of a captured call: written ones to one arena, as planned; all others are weights."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._offsets: dict[Any, int] = {}
        self._numbers: dict[Any, int] = {}
        self.arena_bytes = 0
        self.weights: list[Array] = []

    def note_written(self, uop: Any) -> None:
        """Reserves room in the arena for the buffer of `uop`: the planner's arena, or a separate buffer."""
        base = self._buffer(uop).base
        if base is not self._output and base not in self._offsets:
            self._offsets[base] = self.arena_bytes
            self.arena_bytes += math.ceil(base.nbytes / ALIGNMENT) * ALIGNMENT

    def argument(self, uop: Any) -> Argument:
        """The argument for a kernel's parameter `uop`."""
        if uop.op is Ops.PARAM:
            if uop.arg.slot or uop.dtype != dtypes.float32:
                raise NotExportable("only a network with one float32 input can be exported")
            return Argument("input")
        buffer = self._buffer(uop)
        if buffer.base is self._output:
            return Argument("output")
        if buffer.base in self._offsets:
            return Argument("arena", self._offsets[buffer.base] + buffer.offset)
        return Argument("weight", self._weight(buffer))

    def _weight(self, buffer: Any) -> int:
        if buffer not in self._numbers:
            values = np.frombuffer(bytes(buffer.ensure_allocated().as_memoryview()), buffer.dtype.fmt)
            if not np.isfinite(values).all():
                raise NotExportable("a weight contains NaN or infinity")
            self._numbers[buffer] = len(self.weights)
            self.weights.append(values)
        return self._numbers[buffer]

    @staticmethod
    def _buffer(uop: Any) -> Any:
        if uop.op is Ops.PARAM:
            raise NotExportable("a network that writes to its input cannot be exported")
        return uop.buffer
