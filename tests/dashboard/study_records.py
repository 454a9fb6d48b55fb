"""Made-up trade-off studies: frames as a run of the experiment would leave them."""

import itertools

import numpy as np
import pandas as pd

from experiments.bench.spec import Experiment
from experiments.registry import find
from experiments.runs import frames
from experiments.studies.tradeoffs.grid import Combination

STUDY: Experiment = find("tradeoffs")
RUNNING = ("eager", "jit")
PRUNING = ("none", "unstructured 0.9", "structured 0.5")
NUMBERS = ("none", "weight-only 8", "static 8")


def rows(variants: int | None = None, device: str = "CPU", batch: int = 32) -> pd.DataFrame:
    """A study of 18 variants, or of as many as asked for, with all columns that figures and picks read."""
    rng = np.random.default_rng(3)
    chosen = [Combination(*levels) for levels in itertools.product(RUNNING, PRUNING, NUMBERS)]
    hidden = itertools.count(1)
    while variants and len(chosen) < variants:
        chosen += [Combination(*levels, "no", next(hidden)) for levels in itertools.product(RUNNING, PRUNING, NUMBERS)]
    records = [_record(one, number, rng, device, batch) for number, one in enumerate(chosen[:variants])]
    return frames.frame_of(records, (*frames.IDENTITY, *STUDY.columns))


def _record(one: Combination, number: int, rng: np.random.Generator, device: str, batch: int) -> dict:
    pruned, static = one.pruning != "none", one.quantization.startswith("static")
    latency = 3.0 / (6 if one.execution == "jit" else 1) / (1.5 if static else 1) * rng.uniform(0.95, 1.05)
    accuracy = 0.9844 - 0.004 * pruned - 0.0005 * static + rng.normal(0, 0.0002)
    thinner = 8 if one.pruning.startswith("un") else 2 if pruned else 1
    size = 407_462 // thinner // (1 if one.quantization == "none" else 4)
    loss = 0.9844 - accuracy
    p_front = float(rng.uniform()) if one.execution == "jit" else 0.0
    return {
        "run_id": "r",
        "experiment": "tradeoffs",
        "device": device,
        "variant": one.name,
        "network": "mlp",
        "batch": batch,
        "seed": 0,
        "execution": one.execution,
        "pruning": one.pruning,
        "quantization": one.quantization,
        "distilled": one.distilled,
        "hidden": one.hidden,
        "recipe": f"{one.pruning} {one.quantization} {one.hidden}",
        "accuracy": accuracy,
        "accuracy_lo": accuracy - 0.0026,
        "accuracy_hi": accuracy + 0.0024,
        "accuracy_loss": loss,
        "accuracy_loss_lo": loss - 0.001,
        "accuracy_loss_hi": loss + 0.001,
        "validation_accuracy": accuracy + 0.001,
        "parameters": 101_770,
        "size_bytes": size,
        "compression": 407_080 / size,
        "latency_ms": latency,
        "latency_lo_ms": latency * 0.98,
        "latency_hi_ms": latency * 1.03,
        "samples": 20,
        "baseline": "eager float32 dense",
        **({"speedup": 3 / latency, "speedup_lo": 2.9 / latency, "speedup_hi": 3.1 / latency} if number else {}),
        "verdict": "faster" if number else "baseline",
        "p_front": p_front,
        "front": p_front > 0.1,
        "dominated_by": None if p_front > 0.1 else "jit int8 static dense",
    }


def effects() -> pd.DataFrame:
    """Main effects and one interaction of such a study."""
    told = [
        ("execution", "jit", None, None),
        ("quantization", "static 8", None, None),
        ("pruning", "unstructured 0.9", None, None),
        ("execution", "jit", "quantization", "static 8"),
    ]
    names = ("factor", "level", "with_factor", "with_level")
    records = [
        {
            "batch": 32,
            "seed": 0,
            **dict(zip(names, one, strict=True)),
            "response": response,
            "effect": middle,
            "effect_lo": middle * 0.9,
            "effect_hi": middle * 1.1,
            "settings": 3,
        }
        for one in told
        for response, middle in (("accuracy", -0.003), ("latency", 0.4), ("bytes", 0.3))
    ]
    return frames.frame_of(records, STUDY.details["effects"])


def details() -> dict[str, pd.DataFrame]:
    """All details, those that are not made up empty."""
    empty = {name: frames.frame_of([], columns) for name, columns in STUDY.details.items()}
    return {**empty, "effects": effects()}
