"""The answer of the quantization experiment in one sentence, and its challenge."""

from typing import TYPE_CHECKING

from experiments.bench.answers import bound_reason, describe_speedup
from experiments.bench.challenge import Achievement, rows_where

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "float32"
SAME_SIZE = 1.02  # files at most this much larger than the smallest are ranked by speedup
ACCEPTED_DROP = 0.002  # accuracy that a variant may lose against float32 and still count as equal


def answer(frame: "pd.DataFrame") -> str:
    """Accuracy, size and speedup of the smallest variant without accuracy loss, at the last batch size."""
    rows = frame[(frame["variant"] != BASELINE) & frame["speedup"].notna()]
    base = frame[frame["variant"] == BASELINE]
    if rows.empty or base.empty:
        return ""
    tested = base["accuracy"].notna().all()
    last = rows[rows["batch"] == rows["batch"].iloc[-1]]
    kept = last[last["accuracy"] >= base["accuracy"].iloc[0] - ACCEPTED_DROP] if tested else last
    kept = kept if len(kept) else last
    best = kept[kept["size_bytes"] <= kept["size_bytes"].min() * SAME_SIZE].nlargest(1, "speedup").iloc[0]
    text = (
        f"On {best['device']}, {best['variant']} stores {best['network']} in {best['size_bytes']:,} bytes, "
        f"{best['compression']:.3g}x smaller,"
    )
    if tested:
        text += (
            f" classifies {best['accuracy']:.2%} of the test set correctly (95% CI {best['accuracy_lo']:.2%} to "
            f"{best['accuracy_hi']:.2%}; float32 {base['accuracy'].iloc[0]:.2%}),"
        )
    return f"{text} and {describe_speedup(best, 'a call')} at batch {best['batch']}{bound_reason(best)}."


def five_times(frame: "pd.DataFrame") -> Achievement | None:
    """The smallest file that meets the challenge: at least 5x smaller, at most 1 percentage point below float32."""
    cnn = rows_where(frame, frame["network"] == "cnn")
    base = cnn[cnn["variant"] == BASELINE]["accuracy"].max()
    rows = rows_where(cnn, cnn["compression"] >= 5, cnn["accuracy"] >= base - 0.01, cnn["verdict"] != "wrong")
    if rows.empty:
        return None
    best = rows.sort_values("size_bytes").iloc[0]
    weights = int(best["parameters"] * best["weight_bits"] / 8)
    return Achievement(
        f"{best['variant']} stores the CNN in {best['size_bytes']:,} bytes, {best['compression']:.3g}x smaller, and "
        f"classifies {best['accuracy']:.2%} of the test set correctly (float32 {base:.2%}).",
        f"{best['parameters']:,} parameters of {best['weight_bits']} bits are {weights:,} bytes; the other "
        f"{best['size_bytes'] - weights:,} are what must stay precise (scales, biases) and the file's description.",
    )
