"""A run of the JIT experiment made by hand: two grid points, both variants, three first calls each."""

import time
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from experiments.bench.rows import Row, Sample
from experiments.compiler.jit import jit
from experiments.runs import frames, store

SPEC = {**jit.preset("quick").model_dump(mode="json"), "device": "CPU"}
FACTS = {"cpu": "a processor of this test"}
BLOCKS = [0.001, 0.002, 0.003]


def record(variant: str, batch: int | None, **changes: Any) -> dict[str, Any]:
    """One row: eager takes 4 ms, the JIT 1 ms, which is paid after 3 calls."""
    latency = {"eager": 4.0, "jit": 1.0}[variant]
    own = {
        "baseline": {"speedup": None, "verdict": "baseline"},
        "faster": {"speedup": 4.0, "speedup_lo": 3.5, "speedup_hi": 4.25, "verdict": "faster", "break_even_calls": 3},
    }["baseline" if variant == "eager" else "faster"]
    same = {
        "model": "mlp3",
        "batch": batch,
        "variant": variant,
        "latency_ms": latency,
        "latency_lo_ms": latency - 0.25,
        "latency_hi_ms": latency + 0.5,
        "control_lo": 0.9,
        "control_hi": 1.1,
        "samples": len(BLOCKS),
        "baseline": "eager",
        "ops": (batch or 1) * 1_000_000,
        "kernels": 3,
    }
    return {**same, **own, **changes}


def records(*batches: int) -> list[dict[str, Any]]:
    """The rows of a run at these batch sizes."""
    return [record(variant, batch) for batch in batches for variant in ("eager", "jit")]


def first_calls(*batches: int) -> list[dict[str, Any]]:
    """The timeline: at batch 16 eager 30, 5, 5 ms and the JIT 30, 8, 2 ms; in proportion at others."""
    told = {"eager": [("eager", 30.0), ("eager", 5.0), ("eager", 5.0)]}
    told["jit"] = [("eager", 30.0), ("capture", 8.0), ("replay", 2.0)]
    return [
        {"variant": variant, "batch": batch, "call": call, "phase": phase, "call_ms": time_ms * batch / 16}
        for batch in batches
        for variant, calls in told.items()
        for call, (phase, time_ms) in enumerate(calls, start=1)
    ]


def rows_frame(made: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame that a page gets of these rows."""
    same = {"run_id": "r", "experiment": "jit", "device": "CPU"}
    return frames.frame_of([{**same, **one} for one in made], (*frames.IDENTITY, *jit.columns))


def timeline_frame(made: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame that a page gets of these first calls."""
    return frames.frame_of([{"run_id": "r", **one} for one in made], (frames.RUN_ID, *jit.details["timeline"]))


def add(
    db: Engine,
    batches: tuple[int, ...] = (16, 64),
    status: str = "done",
    rows: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> str:
    """Writes such a run, or one with other rows; returns its id. A queued run has no rows yet."""
    now = time.time()
    values = {"experiment": "jit", "spec": SPEC, "device": "CPU", "host": "here", "time_limit_s": 900.0}
    values |= {"created": now - 9, "environment": FACTS, "fingerprint": "0123456789abcdef", **changes}
    if status == store.QUEUED:
        return store.add_run(db, **values)
    running = {"status": store.RUNNING, "runner": "tester", "started": now - 8, "heartbeat": now}
    run_id = store.add_run(db, **{**values, **running})
    batch = store.Batch()
    batch.rows = [Row(one, [Sample("block", 1, BLOCKS)]) for one in (rows or records(*batches))]
    batch.details = [("timeline", first_calls(*batches))] if batches else []
    store.write(db, run_id, "tester", batch, 0, 0)
    if status != store.RUNNING:
        store.finish(db, run_id, "tester", status, changes.get("message", ""), changes.get("traceback", ""))
    return run_id
