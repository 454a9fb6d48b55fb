import numpy as np
import pandas as pd

from experiments.compression.quantization.answer import answer


def row(variant, accuracy, size, speedup, verdict="faster"):
    return {
        "device": "CPU",
        "network": "mlp",
        "variant": variant,
        "batch": 32,
        "accuracy": accuracy,
        "accuracy_lo": None if accuracy is None else accuracy - 0.002,
        "accuracy_hi": None if accuracy is None else accuracy + 0.002,
        "size_bytes": size,
        "compression": 400_000 / size,
        "speedup": speedup,
        "speedup_lo": speedup,
        "speedup_hi": speedup,
        "verdict": verdict,
        "bound": None,
    }


def answer_to(*others, accuracy=0.98):
    base = row("float32", accuracy, 400_000, np.nan, "baseline")
    return answer(pd.DataFrame([base, *others]).convert_dtypes())


def test_the_answer_names_the_smallest_variant_that_keeps_the_accuracy():
    sentence = answer_to(row("int8 static", 0.979, 100_000, 1.5), row("int2 static", 0.3, 25_000, 1.5))
    assert sentence.startswith("On CPU, int8 static stores mlp in 100,000 bytes, 4x smaller, classifies 97.90%")
    assert "float32 98.00%" in sentence
    assert "makes a call 1.5x faster" in sentence


def test_of_files_of_like_size_the_answer_names_the_fastest():
    sentence = answer_to(row("int8 dynamic", 0.98, 100_000, 0.9, "slower"), row("int8 static", 0.98, 100_100, 1.5))
    assert "int8 static" in sentence


def test_the_answer_for_an_untrained_layer_has_no_accuracy():
    sentence = answer_to(row("int8 static", None, 100_000, 4.0), accuracy=None)
    assert sentence == (
        "On CPU, int8 static stores mlp in 100,000 bytes, 4x smaller, and makes a call 4x faster (95% CI 4 to 4) "
        "at batch 32."
    )
