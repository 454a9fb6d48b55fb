"""The columns and details of a load, computed from its request records."""

import math

import numpy as np

from experiments.bench.arrays import Array
from experiments.bench.columns import Value
from experiments.bench.statistics.intervals import MIN_FOR_P95, MIN_FOR_P99, median_interval, percentile, wilson

IN_TIME = 0.99  # the share of requests that must be answered correctly within the SLO
MAX_SHOWN = 300  # requests of one load in the detail `requests`
SHARES = (*(n / 100 for n in range(1, 100)), 0.995, 0.999)


def latencies_ms(records: Array) -> Array:
    """Latencies of the requests that were answered with logits, from scheduled arrival to answer."""
    answered = records[records["status"] == 200]
    return np.asarray((answered["finished_s"] - answered["scheduled_s"]) * 1e3)


def summary(records: Array, objective_ms: float, tolerance: float) -> dict[str, Value]:
    """The columns of one load. Logits that differ by more than `tolerance` count as an error."""
    answered = records["status"] == 200
    correct = answered & (records["error"] <= tolerance)
    rejected = int((records["status"] == 503).sum())
    took = latencies_ms(records)
    in_time = int((took[records["error"][answered] <= tolerance] <= objective_ms).sum())
    values: dict[str, Value] = {
        "requests": len(records),
        "achieved_per_s": _achieved(records[correct]),
        "errors": len(records) - int(correct.sum()) - rejected,
        "rejected": rejected,
        "max_abs_error": float(records["error"][answered].max()) if answered.any() else None,
        "remark": _remark(len(took)),
    }
    if len(records):
        share = wilson(in_time, len(records))
        values |= {"in_time": share.median, "in_time_lo": share.lo, "in_time_hi": share.hi}
        values["slo_met"] = bool(in_time / len(records) >= IN_TIME)
    return values | _percentiles(took) | _breakdown(records[answered], took)


def _achieved(correct: Array) -> float:
    """Correctly answered rows per second, from the first arrival to the last answer."""
    if not len(correct):
        return 0.0
    lasted = float(correct["finished_s"].max() - correct["scheduled_s"].min())
    return float(correct["rows"].sum()) / max(lasted, 1e-9)


def _percentiles(took: Array) -> dict[str, Value]:
    if not len(took):
        return {}
    middle, values = median_interval(took.tolist()), took.tolist()
    return {
        "p50_ms": middle.median,
        "p50_lo_ms": middle.lo,
        "p50_hi_ms": middle.hi,
        "p95_ms": percentile(values, 0.95, MIN_FOR_P95),
        "p99_ms": percentile(values, 0.99, MIN_FOR_P99),
        "worst_ms": max(values),
    }


def _breakdown(answered: Array, took: Array) -> dict[str, Value]:
    """Means of the parts of the latency, which add up to its mean; transport is the remainder."""
    if not len(answered):
        return {}
    parts = {name: float(np.nanmean(answered[name])) for name in ("queue_ms", "gather_ms", "handover_ms", "compute_ms")}
    late = float(np.mean(answered["sent_s"] - answered["scheduled_s"])) * 1e3
    mean = float(took.mean())
    return {
        "mean_ms": mean,
        "mean_batch": float(answered["batch"].mean()),
        **parts,
        "transport_ms": max(0.0, mean - sum(parts.values()) - late),
        "unsent_ms": late,
    }


def _remark(count: int) -> str | None:
    """The percentiles for which there are too few answers."""
    if count < MIN_FOR_P95:
        return f"too few for p95 and p99: {count} answers"
    return f"too few for p99: {count} answers" if count < MIN_FOR_P99 else None


def timeline(records: Array) -> list[dict[str, Value]]:
    """At most some hundred requests of a load by arrival, always with the slowest, and the number in flight at each."""
    if not len(records):
        return []
    step = math.ceil(len(records) / MAX_SHOWN)
    chosen = np.unique([*range(0, len(records), step), *np.argsort(np.nan_to_num(_took(records)))[-20:]])
    arrived, finished = np.sort(records["scheduled_s"]), np.sort(records["finished_s"])
    shown: list[dict[str, Value]] = []
    for one in records[chosen]:
        at = one["scheduled_s"]
        in_flight = np.searchsorted(arrived, at, "right") - np.searchsorted(finished, at, "right")
        took = float((one["finished_s"] - at) * 1e3)
        shown.append(
            {
                "arrived_ms": float(at * 1e3),
                "request_ms": took if math.isfinite(took) else None,
                "in_flight": int(in_flight),
                "rows": int(one["batch"]),
                "status": int(one["status"]),
            }
        )
    return shown


def distribution(records: Array) -> list[dict[str, Value]]:
    """Quantiles of the latency, only those that the sample supports."""
    took = np.sort(latencies_ms(records))
    supported = [share for share in SHARES if len(took) * min(share, 1 - share) >= 1]
    shown: list[dict[str, Value]] = []
    for share in supported:
        shown.append({"share": share, "request_ms": float(took[math.ceil(share * len(took)) - 1])})
    return shown


def _took(records: Array) -> Array:
    return np.asarray(records["finished_s"] - records["scheduled_s"])
