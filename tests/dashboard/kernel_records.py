"""Kernels, one replay, memory plan and ceilings made by hand, as `Bench.inspect` leaves them."""

from typing import Any

import pandas as pd

from experiments.compiler.jit import jit
from experiments.runs import frames

COPY_GB_S, CACHE_GB_S, MATMUL_GFLOPS = 10.0, 40.0, 100.0
CODE = "void r_8_32_32(float* restrict data0) {\n  *data0 = 1.0f;\n}"


def kernel(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One kernel: 20 million operations on 10 million bytes in 1 ms."""
    return {
        "variant": "jit",
        "batch": 16,
        "number": number,
        "name": f"r_{number}",
        "device": "CPU",
        "renderer": "CPU::x86_64,native",
        "global_size": "1x1x1",
        "local_size": "1x1x1",
        "ops": 20_000_000,
        "bytes": 10_000_000,
        "loaded_bytes": 12_000_000,
        "opts": "UNROLL(0,0)",
        "uops": 321,
        "binary_bytes": 2904,
        "kernel_ms": 1.0,
        "host_us": 15.0,
        "gflops": 20.0,
        "gb_s": 10.0,
        "share": 0.5,
        "bound": "memory",
        "roof_fraction": 1.0,
        "batched": False,
        "source": CODE,
    } | changes


def copy(number: int, **changes: Any) -> dict[str, Any]:
    """A copy between devices: no operations, no code."""
    nothing = {"renderer": "", "opts": "", "uops": 0, "binary_bytes": 0, "source": ""}
    return kernel(number, name="COPY", ops=0, gflops=0.0, **nothing) | changes


def launched(number: int = 1, **changes: Any) -> dict[str, Any]:
    """When that kernel ran: 15 us of launch, then 1 ms, each after the one before."""
    start_ms = (number - 1) * 1.1
    one = {"variant": "jit", "batch": 16, "number": number, "name": f"r_{number}"}
    return {**one, "start_ms": start_ms, "host_ms": 1.015, "kernel_ms": 1.0, **changes}


CEILINGS: list[dict[str, Any]] = [
    {"what": "copy", "by": "tinygrad", "moved_bytes": 2**21, "gb_s": CACHE_GB_S, "measured": "2026-01-02 03:04"},
    {"what": "copy", "by": "tinygrad", "moved_bytes": 2**27, "gb_s": COPY_GB_S, "measured": "2026-01-02 03:04"},
    {"what": "matmul", "by": "numpy", "n": 600, "gflops": MATMUL_GFLOPS, "measured": "2026-01-02 03:04"},
]
MEMORY = {"variant": "jit", "batch": 16, "planned_bytes": 2048, "unplanned_bytes": 11264}


def detail_frame(name: str, made: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame that a page gets of a detail of the JIT experiment."""
    return frames.frame_of([{"run_id": "r", **one} for one in made], (frames.RUN_ID, *jit.details[name]))
