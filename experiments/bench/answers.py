"""Phrases for a row's comparison, shared by all experiments' answers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def describe_speedup(row: Any, subject: str) -> str:
    """A timed row's comparison with its baseline: `makes {subject} 3.2x faster (95% CI 3.1 to 3.3)`."""
    interval = f"95% CI {_number(row['speedup_lo'])} to {_number(row['speedup_hi'])}"
    match row["verdict"]:
        case "faster":
            return f"makes {subject} {_number(row['speedup'])}x faster ({interval})"
        case "slower":
            return f"makes {subject} {1 / row['speedup']:.3g}x slower (ratio {row['speedup']:.3g}, {interval})"
        case "wrong":
            return f"computes {subject} incorrectly"
        case "timeout" | "failed" as status:
            return f"gave no timing of {subject} ({status})"
        case _:
            return f"makes no significant difference to {subject} (ratio {row['speedup']:.3g}, {interval})"


def _number(ratio: float) -> str:
    """Three digits without an exponent: 0.982, 36.2, 1,240."""
    return f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}"


def bound_reason(row: Any) -> str:
    """The bound of a profiled row in parentheses, to follow its comparison; empty for a row without a bound."""
    bound = str(row["bound"])  # an empty cell (pd.NA) has no truth value
    if bound == "launch":
        each_us = row["kernel_ms"] * 1e3 / row["kernels"]
        kernels = f"{row['kernels']} kernels of {each_us:.2g} µs each" if row["kernels"] > 1 else "one short kernel"
        return f" ({row['launch_share']:.0%} of that call is launch overhead: {kernels})"
    if bound in ("memory", "compute"):
        ceiling = "memory ceiling" if bound == "memory" else "float32 ceiling"
        return f" (that call is {bound}-bound, at {row['roof_fraction']:.0%} of the measured {ceiling})"
    return ""


def default_answer(frame: "pd.DataFrame", grid: tuple[str, ...]) -> str:
    """One sentence for an experiment without an `answer`: each variant's comparison at its last grid point."""
    compared = frame[frame["verdict"].notna() & (frame["verdict"] != "baseline")]
    if compared.empty:
        return ""
    last = compared.drop_duplicates("variant", keep="last")
    point = last.iloc[-1][list(grid)].dropna()
    where = f", at {', '.join(f'{axis} {value}' for axis, value in point.items())}" if len(point) else ""
    parts = [f"{row['variant']} {describe_speedup(row, 'the call')}" for _, row in last.iterrows()]
    return f"On {last.iloc[0]['device']}{where}, compared with {last.iloc[0]['baseline']}: {'; '.join(parts)}."
