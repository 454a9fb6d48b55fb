import pandas as pd

from experiments.compression.record.answer import answer


def row(stage, seed, size, accuracy):
    return {
        "variant": stage,
        "network": "lenet_300_100",
        "seed": seed,
        "size_bytes": size,
        "compression": 1_066_440 / size,
        "accuracy": accuracy,
        "validation_accuracy": accuracy - 0.001,
    }


def test_the_answer_is_the_median_of_the_seeds():
    frame = pd.DataFrame(
        [row("base", seed, 1_066_500, 0.99) for seed in range(3)]
        + [row("file", seed, 4_000 + 100 * seed, 0.984 - seed / 1000) for seed in range(3)]
    )
    assert answer(frame) == (
        "A file of 4,100 bytes stores lenet_300_100 (median of 3 seeds), 260x smaller than its float32 weights, with "
        "an error of 1.70% on the test and 1.80% on the validation images; before compression, the errors "
        "were 1.00% and 1.10%."
    )
    assert answer(frame[frame["variant"] == "base"]) == ""
