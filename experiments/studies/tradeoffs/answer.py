"""The answer of the trade-off study in one sentence, and its challenge."""

from typing import TYPE_CHECKING

from experiments.bench.challenge import Achievement, rows_where
from experiments.studies.tradeoffs.recommendation import NO_EVIDENCE, last_point, recommend

if TYPE_CHECKING:
    import pandas as pd


def answer(frame: "pd.DataFrame") -> str:
    """The smallest and the fastest variant within 1 percentage point of the baseline, at the last grid point."""
    rows = last_point(frame)
    if rows.empty:
        return ""
    smallest, fastest = (recommend(criterion, rows, NO_EVIDENCE) for criterion in ("smallest", "fastest"))
    if smallest is None or fastest is None:
        return ""
    low, high = (
        dict(zip(rows["variant"], rows[f"speedup_{end}"].astype("float64"), strict=True)) for end in ("lo", "hi")
    )
    text = f"the smallest within 1 percentage point of the baseline is {smallest.sentence}"
    if smallest.winner == fastest.winner:
        text += "; none is faster"
    elif low[fastest.winner] <= high[smallest.winner]:
        text += "; none is significantly faster"
    else:
        text += f"; the fastest is {fastest.sentence}"
    where = f"On {rows['device'].iloc[0]}, {rows['network'].iloc[0]} at batch {rows['batch'].iloc[0]}"
    front = f"{int(rows['front'].sum())} of {len(rows)} variants are on the Pareto front"
    return f"{where}: {text}; {front}."


def eight_times(frame: "pd.DataFrame") -> Achievement | None:
    """The smallest file that meets the challenge: at least 8x smaller, at most 1 percentage point below float32."""
    cnn = rows_where(frame, frame["network"] == "cnn")
    dense = rows_where(cnn, cnn["pruning"] == "none", cnn["quantization"] == "none")
    base = dense["accuracy"].max()
    rows = rows_where(cnn, cnn["compression"] >= 8, cnn["accuracy"] >= base - 0.01, cnn["verdict"] != "wrong")
    if rows.empty:
        return None
    best = rows.sort_values("size_bytes").iloc[0]
    alone = {
        best["pruning"]: rows_where(cnn, cnn["pruning"] == best["pruning"], cnn["quantization"] == "none"),
        best["quantization"]: rows_where(cnn, cnn["quantization"] == best["quantization"], cnn["pruning"] == "none"),
    }
    parts = [f"{name} alone {rows['compression'].max():.3g}x" for name, rows in alone.items() if len(rows)]
    return Achievement(
        f"{best['variant']} stores the CNN in {best['size_bytes']:,} bytes, {best['compression']:.3g}x smaller, and "
        f"classifies {best['accuracy']:.2%} of the test set correctly (dense float32 {base:.2%}).",
        f"{', '.join(parts) or 'Neither was measured alone'}, together {best['compression']:.3g}x: the positions of "
        "the remaining weights, the scales and the biases are stored in either case.",
    )
