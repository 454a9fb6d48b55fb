"""BuiltModel-up rows of one grid point of a trade-off study."""

import pandas as pd

BASE = {"execution": "eager", "pruning": "none", "quantization": "none", "distilled": "no", "hidden": 0, "seed": 0}


def row(variant, size, latency, validation, *, recipe=None, **factors):
    """One row; test accuracy is the validation accuracy less 1%, so that the two cannot be mixed up."""
    return {
        **BASE,
        "variant": variant,
        "recipe": recipe or variant,
        "size_bytes": size,
        "latency_ms": latency,
        "batch": 1,
        "validation_accuracy": validation,
        "accuracy": validation - 0.01,
        "p_front": 0.5,
        "device": "CPU",
        "speedup": 2.0 / latency,
        "speedup_lo": 1.9 / latency,
        "speedup_hi": 2.2 / latency,
        "verdict": "faster",
        "accuracy_loss": 0.98 - validation,
        "accuracy_loss_lo": 0.977 - validation,
        "accuracy_loss_hi": 0.983 - validation,
        **factors,
    }


ROWS = pd.DataFrame(
    [
        row("base", 4000, 2.0, 0.980, verdict="baseline", recipe="dense"),
        row("jit", 4000, 1.0, 0.980, recipe="dense", execution="jit"),
        row("pruned", 400, 2.2, 0.975, recipe="pruned", pruning="unstructured 0.9"),
        row("jit pruned", 400, 1.1, 0.975, recipe="pruned", execution="jit", pruning="unstructured 0.9"),
        row("tiny", 100, 0.5, 0.940, recipe="tiny", execution="jit", pruning="structured 0.1"),
        row("jit int8", 1000, 0.98, 0.979, recipe="int8", execution="jit", quantization="static 8"),
    ]
)
