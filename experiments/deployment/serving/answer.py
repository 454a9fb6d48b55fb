"""The answer of the serving experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.deployment.serving.results import IN_TIME

if TYPE_CHECKING:
    import pandas as pd

LATE_MS = 1.0  # mean client-side delay above which the machine was busy; undisturbed it is 0.1 to 0.3 ms


def recommendation(frame: "pd.DataFrame") -> str:
    """The policy for the expected rate with its highest rate; without an open load, the throughput of the policies."""
    if frame.empty:
        return ""
    expected = at_expected_rate(frame)
    if expected.empty:
        return f"{_throughput(frame)}{_search_results(frame)}."
    first = expected.iloc[0]
    text = f"On {first['device']}, for {first['rate_per_s']:g} requests/s within {first['objective_ms']:g} ms, "
    meeting = expected[expected["slo_met"].fillna(False).astype(bool)]
    if meeting.empty:
        best = expected.sort_values("in_time").iloc[-1]
        nearest = f"{best['variant']} comes closest with {best['in_time']:.1%}"
        return f"{text}no policy answers {IN_TIME:.0%} within the SLO: {nearest}.{_late_generator(expected)}"
    rates = _highest_rates(frame)
    best = _choice(meeting, rates)
    others = [
        f"{one['variant']}: {_tail(one)}{_up_to(one['variant'], rates)}"
        for _, one in expected.iterrows()
        if one["variant"] != best["variant"]
    ]
    compared = f" ({'; '.join(others)})" if others else ""
    tail = f"{_tail(best)}{_up_to(best['variant'], rates)}{compared}"
    return f"{text}use {best['variant']}: {tail}.{_late_generator(expected)}"


def at_expected_rate(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of the first open load, one for each policy, without the trials of the search."""
    opened = frame[(frame["arrival"] == "open") & (frame["path"] == "fast") & frame["highest"].isna()]
    rates = opened["rate_per_s"].head(1).tolist()
    found: pd.DataFrame = opened[opened["rate_per_s"].isin(rates)].drop_duplicates("variant")
    return found


def _late_generator(expected: "pd.DataFrame") -> str:
    """A warning if the load generator was late: latencies then include its delay."""
    late = expected["unsent_ms"].max()
    if not late > LATE_MS:
        return ""
    return f" The load generator was {late:.2g} ms late on average: this machine was busy with other work."


def _choice(meeting: "pd.DataFrame", rates: dict[str, float]) -> Any:
    """Among the policies not significantly slower than the fastest, the one with the highest sustainable rate.

    Medians whose intervals overlap do not differ significantly. Ties are decided by p99, then by the median.
    """
    fastest = meeting.sort_values("p50_ms").iloc[0]
    reach = fastest["p50_hi_ms"] if fastest["p50_hi_ms"] == fastest["p50_hi_ms"] else fastest["p50_ms"]
    low = meeting["p50_lo_ms"].fillna(meeting["p50_ms"])
    like = meeting[low <= reach].assign(highest_rate=lambda rows: rows["variant"].map(rates).fillna(0.0))
    return like.sort_values(["highest_rate", "p99_ms", "p50_ms"], ascending=[False, True, True]).iloc[0]


def _highest_rates(frame: "pd.DataFrame") -> dict[str, float]:
    """The highest rate that the search found for each policy."""
    found = frame[frame["highest"].fillna(False).astype(bool)].sort_values("rate_per_s")
    return {str(one["variant"]): float(one["rate_per_s"]) for _, one in found.iterrows()}


def _tail(row: Any) -> str:
    """The highest percentile that has enough samples."""
    name = next((name for name in ("p99", "p95", "p50") if row[f"{name}_ms"] == row[f"{name}_ms"]), "p50")
    late = "" if row["slo_met"] else f", only {row['in_time']:.1%} within the SLO"
    return f"{name} {row[f'{name}_ms']:.3g} ms{late}"


def _up_to(variant: str, rates: dict[str, float]) -> str:
    return f", up to {rates[variant]:,.0f}/s" if variant in rates else ""


def _search_results(frame: "pd.DataFrame") -> str:
    """The highest rates of the search in descending order."""
    found = sorted(_highest_rates(frame).items(), key=lambda one: -one[1])
    if not found:
        return ""
    within = f"{IN_TIME:.0%} of the requests are answered within {frame['objective_ms'].iloc[0]:g} ms up to "
    return f"; {within}{', '.join(f'{rate:,.0f}/s by {variant}' for variant, rate in found)}"


def _throughput(frame: "pd.DataFrame") -> str:
    """The highest and the lowest throughput."""
    most = frame[frame["achieved_per_s"].notna() & frame["highest"].isna()].sort_values("achieved_per_s")
    if most.empty:
        return f"On {frame['device'].iloc[0]}"
    best, least = most.iloc[-1], most.iloc[0]
    return (
        f"On {best['device']}, {best['variant']} answers {best['achieved_per_s']:,.0f} rows/s ({_how(best)}), "
        f"the lowest throughput is {least['achieved_per_s']:,.0f} rows/s by {least['variant']} ({_how(least)})"
    )


def _how(row: Any) -> str:
    many = row["arrival"] == "closed" and row["clients"] == row["clients"]
    return f"{row['clients']} clients" if many else str(row["arrival"])
