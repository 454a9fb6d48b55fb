"""The answer of the pruning experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.bench.answers import describe_speedup

if TYPE_CHECKING:
    import pandas as pd

DENSE = "dense"  # the unpruned network: the baseline of all variants, and the kind of program that multiplies zeros
ACCEPTED_DROP = 0.002  # accuracy that may be lost and still count as kept


def answer(frame: "pd.DataFrame") -> str:
    """The highest sparsity without accuracy loss, what it saves, and the speedup of each kind of program."""
    base, rows = frame[frame["variant"] == DENSE], frame[frame["speedup"].notna() & (frame["target"] > 0)]
    if base.empty or rows.empty:
        return ""
    dense = base.iloc[0]
    tested = base["seed_accuracy"].notna().all()
    kept = rows[rows["drop"] <= ACCEPTED_DROP] if tested else rows
    parts = []
    masked = rows[rows["form"] == DENSE]
    found = kept[kept["form"] == DENSE].sort_values(["sparsity", "drop"], ascending=[True, False])
    if len(found):
        best = found.iloc[-1]
        lost = f" ({_lost(best)}; dense: {dense['seed_accuracy']:.2%}{_at_random(masked, best)})" if tested else ""
        parts.append(
            f"with {best['sparsity']:.0%} of its weights pruned by {best['variant']}{lost} its file has "
            f"{best['size_bytes']:,} bytes, {best['compression']:.3g}x smaller, and multiplying by the zeros as well "
            f"{describe_speedup(best, 'a call')}"
        )
    elif len(masked):
        least = masked.nsmallest(1, "drop").iloc[0]
        parts.append(
            f"no tested sparsity stays within {ACCEPTED_DROP * 100:.1f} points of its {dense['seed_accuracy']:.2%} "
            f"({least['variant']}, {least['target']:.0%}: {_lost(least)})"
        )
    for form, words in (("gather", "fetching only the nonzero weights"), ("smaller", "pruning whole units")):
        found = kept[kept["form"] == form]
        found = found if len(found) else rows[rows["form"] == form].nsmallest(1, "drop")
        if len(found):
            fastest = found.nlargest(1, "speedup").iloc[0]
            lost = f": {fastest['drop'] * 100:.2f} points lost" if tested else ""
            parts.append(
                f"{words} ({fastest['variant']}, {fastest['target']:.0%}{lost}) {describe_speedup(fastest, 'a call')}"
            )
    return f"On {dense['device']}, {dense['network']} at batch {dense['batch']}: {'; '.join(parts)}."


def _lost(row: "pd.Series[Any]") -> str:
    """`0.12 points lost, 95% CI +0.03 to +0.21 over 3 seeds`; without an interval for one seed."""
    lost = f"{row['drop'] * 100:.2f} points lost"
    if row["seeds"] < 2:
        return lost
    return f"{lost}, 95% CI {row['drop_lo'] * 100:+.2f} to {row['drop_hi'] * 100:+.2f} over {row['seeds']} seeds"


def _at_random(rows: "pd.DataFrame", best: "pd.Series[Any]") -> str:
    """The drop of random pruning to the same target, where it was measured."""
    drops = rows.loc[(rows["method"] == "random") & (rows["target"] == best["target"]), "drop"]
    return f"; random pruning loses {drops.min() * 100:.2f}" if len(drops) and best["method"] != "random" else ""
