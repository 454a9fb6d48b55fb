"""The answer of the serving experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.deployment.serving.results import IN_TIME

if TYPE_CHECKING:
    import pandas as pd

LATE_MS = 1.0  # a generator that is later on the mean was kept from its work; undisturbed it is late by 0.1 to 0.3 ms


def recommendation(frame: "pd.DataFrame") -> str:
    """Which policy for the expected rate, and how far each goes; or what batching buys where no such load was sent."""
    if frame.empty:
        return ""
    expected = at_expected_rate(frame)
    if expected.empty:
        return f"{_throughput(frame)}{_headroom(frame)}."
    first = expected.iloc[0]
    said = f"On {first['device']}, for {first['rate_per_s']:g} requests/s within {first['objective_ms']:g} ms, "
    meeting = expected[expected["slo_met"].fillna(False).astype(bool)]
    if meeting.empty:
        best = expected.sort_values("in_time").iloc[-1]
        nearest = f"{best['variant']} comes nearest with {best['in_time']:.1%}"
        return f"{said}no policy answers {IN_TIME:.0%} in time: {nearest}.{_disturbed(expected)}"
    far = _farthest(frame)
    best = _choice(meeting, far)
    others = [
        f"{one['variant']}: {_tail(one)}{_up_to(one['variant'], far)}"
        for _, one in expected.iterrows()
        if one["variant"] != best["variant"]
    ]
    beside = f" ({'; '.join(others)})" if others else ""
    return f"{said}use {best['variant']}: {_tail(best)}{_up_to(best['variant'], far)}{beside}.{_disturbed(expected)}"


def at_expected_rate(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of the first open load, one for each policy; those of the search are none."""
    opened = frame[(frame["arrival"] == "open") & (frame["path"] == "fast") & frame["highest"].isna()]
    rates = opened["rate_per_s"].head(1).tolist()
    found: pd.DataFrame = opened[opened["rate_per_s"].isin(rates)].drop_duplicates("variant")
    return found


def _disturbed(expected: "pd.DataFrame") -> str:
    """A warning where the generator itself was late: then latencies are not only the server's."""
    late = expected["unsent_ms"].max()
    if not late > LATE_MS:
        return ""
    return f" The load generator itself was {late:.2g} ms late on the mean: this machine was busy with something else."


def _choice(meeting: "pd.DataFrame", far: dict[str, float]) -> Any:
    """Of the policies that are as fast as the fastest, as far as can be told, the one that goes farthest.

    Two medians whose intervals overlap cannot be told apart; then what a policy can take beyond the expected rate
    decides, and only then the tail.
    """
    fastest = meeting.sort_values("p50_ms").iloc[0]
    reach = fastest["p50_hi_ms"] if fastest["p50_hi_ms"] == fastest["p50_hi_ms"] else fastest["p50_ms"]
    low = meeting["p50_lo_ms"].fillna(meeting["p50_ms"])
    like = meeting[low <= reach].assign(far=lambda rows: rows["variant"].map(far).fillna(0.0))
    return like.sort_values(["far", "p99_ms", "p50_ms"], ascending=[False, True, True]).iloc[0]


def _farthest(frame: "pd.DataFrame") -> dict[str, float]:
    """The highest rate that the search found, by policy."""
    found = frame[frame["highest"].fillna(False).astype(bool)].sort_values("rate_per_s")
    return {str(one["variant"]): float(one["rate_per_s"]) for _, one in found.iterrows()}


def _tail(row: Any) -> str:
    """The farthest percentile that the sample supports."""
    name = next((name for name in ("p99", "p95", "p50") if row[f"{name}_ms"] == row[f"{name}_ms"]), "p50")
    late = "" if row["slo_met"] else f", only {row['in_time']:.1%} in time"
    return f"{name} {row[f'{name}_ms']:.3g} ms{late}"


def _up_to(variant: str, far: dict[str, float]) -> str:
    return f", up to {far[variant]:,.0f}/s" if variant in far else ""


def _headroom(frame: "pd.DataFrame") -> str:
    """The highest rates that the search found, highest first."""
    found = sorted(_farthest(frame).items(), key=lambda one: -one[1])
    if not found:
        return ""
    within = f"within {frame['objective_ms'].iloc[0]:g} ms {IN_TIME:.0%} are answered up to "
    return f"; {within}{', '.join(f'{rate:,.0f}/s by {variant}' for variant, rate in found)}"


def _throughput(frame: "pd.DataFrame") -> str:
    """What the best policy gets through the door, against the worst."""
    most = frame[frame["achieved_per_s"].notna() & frame["highest"].isna()].sort_values("achieved_per_s")
    if most.empty:
        return f"On {frame['device'].iloc[0]}"
    best, least = most.iloc[-1], most.iloc[0]
    return (
        f"On {best['device']} {best['variant']} answers {best['achieved_per_s']:,.0f} rows/s ({_how(best)}), "
        f"the least is {least['achieved_per_s']:,.0f} rows/s by {least['variant']} ({_how(least)})"
    )


def _how(row: Any) -> str:
    many = row["arrival"] == "closed" and row["clients"] == row["clients"]
    return f"{row['clients']} clients" if many else str(row["arrival"])
