"""The answer of the sensitivity experiment in one sentence."""

from typing import TYPE_CHECKING

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
        f"Bits {chosen['bits']} for the layers of {chosen['network']} store it in {chosen['weight_bytes']:,} bytes, "
        f"{float_bytes / chosen['weight_bytes']:.3g}x smaller, and lose {chosen['drop']:.2%} of validation accuracy"
    )
    best = frame[frame["variant"] == BEST]
    if len(best):
        text += f" (best of all assignments: {best.iloc[0]['weight_bytes']:,} bytes, {best.iloc[0]['drop']:.2%})"
    return f"{text}; most sensitive is {worst['layer']} at {worst['bits']} bits, which alone costs {worst['drop']:.2%}."
