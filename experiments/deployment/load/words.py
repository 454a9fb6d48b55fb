"""The answer of the serving experiment in one sentence."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def recommendation(frame: "pd.DataFrame") -> str:
    """Which policy for the expected rate; then how far it goes, or what batching buys where no open load was sent."""
    if frame.empty:
        return ""
    opened = frame[(frame["arrival"] == "open") & (frame["path"] == "fast")]
    if opened.empty:
        return _throughput(frame)
    expected = opened["rate_per_s"].iloc[0]
    there = opened[opened["rate_per_s"] == expected].drop_duplicates("variant")
    said = f"On {frame['device'].iloc[0]}, for {expected:g} requests/s, "
    meeting = there[there["slo_met"].fillna(False).astype(bool)]
    if meeting.empty:
        best = there.sort_values("in_time").iloc[-1]
        return f"{said}no policy answers 99 % in time: {best['variant']} comes nearest with {best['in_time']:.1%}."
    best = meeting.sort_values(["p99_ms", "p95_ms", "p50_ms"]).iloc[0]
    said += f"use {best['variant']}: {_latency(best)}"
    others = meeting[meeting["variant"] != best["variant"]]
    if len(others):
        said += f" ({', '.join(f'{one.variant}: {_short(one)}' for one in others.itertuples())})"
    return said + _headroom(frame) + "."


def _latency(row: Any) -> str:
    name = next((name for name in ("p99", "p95", "p50") if row[f"{name}_ms"] == row[f"{name}_ms"]), "p50")
    return f"{name} {row[f'{name}_ms']:.3g} ms, {row['in_time']:.1%} in time"


def _short(row: Any) -> str:
    shown = row.p99_ms if row.p99_ms == row.p99_ms else row.p50_ms
    return f"{shown:.3g} ms"


def _headroom(frame: "pd.DataFrame") -> str:
    """The highest rates that the search found, highest first."""
    found = frame[frame["highest"].fillna(False).astype(bool)].sort_values("rate_per_s", ascending=False)
    if found.empty:
        return ""
    parts = [f"{one.rate_per_s:,.0f}/s by {one.variant}" for one in found.itertuples()]
    return f"; the objective is met up to {', '.join(parts)}"


def _throughput(frame: "pd.DataFrame") -> str:
    """What the best policy gets through the door, against the worst."""
    most = frame[frame["achieved_per_s"].notna()].sort_values("achieved_per_s")
    if most.empty:
        return ""
    best, least = most.iloc[-1], most.iloc[0]
    return (
        f"On {best['device']} {best['variant']} answers {best['achieved_per_s']:,.0f} rows/s ({best['arrival']}), "
        f"the least is {least['achieved_per_s']:,.0f} rows/s by {least['variant']} ({least['arrival']})."
    )
