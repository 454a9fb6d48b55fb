"""The answer of the smallest-file experiment in one sentence."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LAST = "file"  # the last stage


def answer(frame: "pd.DataFrame") -> str:
    """Size and error of the last file, median over the seeds, and the error of the base."""
    files, base = frame[frame["variant"] == LAST], frame[frame["variant"] == "base"]
    if files.empty or base.empty:
        return ""
    seeds = f"median of {len(files)} seeds" if len(files) > 1 else "one seed"
    size, times = files["size_bytes"].median(), files["compression"].median()
    tested, validated = (1 - files[name].median() for name in ("accuracy", "validation_accuracy"))
    return (
        f"A file of {size:,.0f} bytes stores {files['network'].iloc[0]} ({seeds}), {times:.3g}x smaller than its "
        f"float32 weights, with an error of {tested:.2%} on the test and {validated:.2%} on the validation images; "
        f"before compression, the errors were {1 - base['accuracy'].median():.2%} and "
        f"{1 - base['validation_accuracy'].median():.2%}."
    )
