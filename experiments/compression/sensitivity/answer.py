"""The answer of the sensitivity experiment in one sentence."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

GREEDY, BEST = "greedy mixture", "best mixture"  # names of the variants with mixed precision


def answer(frame: "pd.DataFrame") -> str:
    """Size and accuracy loss of the mixed-precision assignment, and the most sensitive layer."""
    greedy = frame[frame["variant"] == GREEDY]
    alone = frame[frame["layer"].notna()]
    if greedy.empty or alone.empty:
        return ""
    chosen, worst = greedy.iloc[0], alone.nlargest(1, "drop").iloc[0]
    float_bytes = chosen["weight_bytes"] + chosen["saved_bytes"]
    text = (
        f"With {chosen['bits']} bits for its layers, {chosen['network']} takes {chosen['weight_bytes']:,} bytes, "
        f"{float_bytes / chosen['weight_bytes']:.3g}x smaller, and loses {_points(chosen)} percentage points of "
        "validation accuracy"
    )
    best = frame[frame["variant"] == BEST]
    if len(best):
        text += f" (best of all assignments: {best.iloc[0]['weight_bytes']:,} bytes, {_points(best.iloc[0])} points)"
    layer = f"{worst['layer']}: {worst['bits']} bits there alone cost {_points(worst)} points"
    return f"{text}; the most sensitive layer is {layer}."


def _points(row: "pd.Series[Any]") -> str:
    """The accuracy that a row loses, in percentage points."""
    return f"{100 * row['drop']:.2f}"
