"""The words in which a row's comparison is said, the same on all pages."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def says(row: Any, what: str) -> str:
    """What one timed row says of `what`: `makes it 3.2x faster (95 % 3.1 to 3.3)`."""
    interval = f"95 % {_number(row['speedup_lo'])} to {_number(row['speedup_hi'])}"
    match row["verdict"]:
        case "faster":
            return f"makes {what} {_number(row['speedup'])}x faster ({interval})"
        case "slower":
            return f"makes {what} {1 / row['speedup']:.3g}x slower (ratio {row['speedup']:.3g}, {interval})"
        case "wrong":
            return f"computes {what} wrongly"
        case "timeout" | "failed" as ended:
            return f"has no time for {what} ({ended})"
        case _:
            return f"makes no difference to {what} that can be told (ratio {row['speedup']:.3g}, {interval})"


def _number(ratio: float) -> str:
    """Three digits, and no power of ten: 0.982, 36.2, 1,240."""
    return f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}"


def because(row: Any) -> str:
    """The reason of an inspected row, to be put behind its comparison; empty where the row carries none."""
    bound = str(row["bound"])  # an empty cell is neither true nor false
    if bound == "launch":
        each_us = row["kernel_ms"] * 1e3 / row["kernels"]
        kernels = f"{row['kernels']} kernels of {each_us:.2g} µs each" if row["kernels"] > 1 else "one short kernel"
        return f" ({row['launch_share']:.0%} of that call is launch overhead: {kernels})"
    if bound in ("memory", "compute"):
        roof = "memory roof" if bound == "memory" else "float32 roof"
        return f" (that call is {bound}-bound, at {row['roof_fraction']:.0%} of the measured {roof})"
    return ""


def plain_answer(frame: "pd.DataFrame", grid: tuple[str, ...]) -> str:
    """One sentence for an experiment that has no words of its own: each variant at the last grid point."""
    compared = frame[frame["verdict"].notna() & (frame["verdict"] != "baseline")]
    if compared.empty:
        return ""
    last = compared.drop_duplicates("variant", keep="last")
    point = last.iloc[-1][list(grid)].dropna()
    where = f", at {', '.join(f'{axis} {value}' for axis, value in point.items())}" if len(point) else ""
    parts = [f"{row['variant']} {says(row, 'the call')}" for _, row in last.iterrows()]
    return f"On {last.iloc[0]['device']}{where}, compared with {last.iloc[0]['baseline']}: {'; '.join(parts)}."
