"""The variant to choose by one of four criteria, the runner-up, and whether their difference is significant.

Validation images decide which variants qualify and which is most accurate; reported accuracies are those of the test
images. The rows are those of one grid point, as a frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from experiments.bench.arrays import Array
from experiments.bench.statistics.intervals import paired_difference, verdict
from experiments.bench.statistics.series import paired_ratio

if TYPE_CHECKING:
    import pandas as pd

Criterion = Literal["smallest", "fastest", "best_by_size", "best_by_latency"]

POINT = 0.01  # of accuracy: the loss allowed by the first two criteria
CRITERIA: dict[Criterion, str] = {
    "smallest": "the smallest within 1 percentage point",
    "fastest": "the fastest within 1 percentage point",
    "best_by_size": "the best under a size",
    "best_by_latency": "the best under a latency",
}
TECHNIQUE_ORDER = ("hidden", "distilled", "pruning", "quantization", "execution")  # of building and running


@dataclass(frozen=True)
class Evidence:
    """Block timings [s] by variant, and by recipe whether each test image is classified correctly."""

    seconds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    correct: Mapping[str, Array] = field(default_factory=dict)


NO_EVIDENCE = Evidence()


@dataclass(frozen=True)
class Recommendation:
    """The best two variants by one criterion, and their difference in words.

    `significant`: None without a runner-up or without evidence.
    """

    winner: str
    runner_up: str | None
    significant: bool | None
    difference: str
    sentence: str


def last_point(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of the last grid point that are on or off the front; none without a baseline."""
    rows: pd.DataFrame = frame[frame["p_front"].notna()]
    if rows.empty:
        return rows
    for axis in ("device", "batch", "seed"):
        rows = rows[rows[axis] == rows[axis].iloc[-1]]
    return rows if (rows["verdict"] == "baseline").any() else rows.iloc[:0]


def recommend(
    criterion: Criterion, rows: "pd.DataFrame", evidence: Evidence, limit: float = 0
) -> Recommendation | None:
    """The best variant by `criterion`; None if no variant qualifies.

    `limit`: bytes for `best_by_size`, milliseconds for `best_by_latency`. The runner-up is the best variant of another
    model; for `fastest` the best of all others.
    """
    base = rows[rows["verdict"] == "baseline"].iloc[0]
    match criterion:
        case "smallest":
            fit, by = _within_a_point(rows, base), ["size_bytes", "latency_ms"]
        case "fastest":
            fit, by = _within_a_point(rows, base), ["latency_ms", "size_bytes"]
        case "best_by_size":
            fit, by = rows[rows["size_bytes"] <= limit], ["lost", "size_bytes", "latency_ms"]
        case "best_by_latency":
            fit, by = rows[rows["latency_ms"] <= limit], ["lost", "latency_ms", "size_bytes"]
    if fit.empty:
        return None
    ranked = fit.assign(lost=-fit["validation_accuracy"]).sort_values(by, kind="stable")
    winner = ranked.iloc[0]
    others = ranked[ranked["variant"] != winner["variant"]]
    if criterion != "fastest":
        others = others[others["recipe"] != winner["recipe"]]
    if others.empty:
        return Recommendation(winner["variant"], None, None, "nothing else qualifies", sentence(winner, base))
    second = others.iloc[0]
    significant, difference = _difference(criterion, winner, second, evidence)
    return Recommendation(winner["variant"], second["variant"], significant, difference, sentence(winner, base))


def _within_a_point(rows: "pd.DataFrame", base: Any) -> "pd.DataFrame":
    within: pd.DataFrame = rows[rows["validation_accuracy"] >= base["validation_accuracy"] - POINT - 1e-9]
    return within


def _difference(criterion: Criterion, first: Any, second: Any, evidence: Evidence) -> tuple[bool | None, str]:
    """Whether the first is significantly better than the second by `criterion`, and the difference in words."""
    if criterion == "smallest":
        saved = int(second["size_bytes"] - first["size_bytes"])
        return (True, f"{saved:,} bytes smaller; bytes are exact") if saved else (False, "of the same size")
    if criterion == "fastest":
        blocks = [evidence.seconds.get(one["variant"]) for one in (second, first)]
        if blocks[0] is None or blocks[1] is None:
            return None, f"{second['latency_ms'] / first['latency_ms']:.3g}x faster"
        ratio = paired_ratio(blocks[0], blocks[1])
        return verdict(ratio) == "faster", f"{ratio.median:.3g}x faster{_interval(ratio.lo, ratio.hi, 1, '.3g')}"
    correct = [evidence.correct.get(one["recipe"]) for one in (first, second)]
    if correct[0] is None or correct[1] is None:
        return None, f"{_points(first['accuracy'] - second['accuracy'])} on the test images"
    won, lost = int((correct[0] & ~correct[1]).sum()), int((correct[1] & ~correct[0]).sum())
    gain = paired_difference(won, lost, len(correct[0]))
    ends = (gain.lo, gain.hi) if gain.median >= 0 or gain.lo is None or gain.hi is None else (-gain.hi, -gain.lo)
    text = f"{_points(gain.median)} on the test images{_interval(*ends, 100, '.2f')}"
    return bool(gain.lo and gain.lo > 0), text


def sentence(row: Any, base: Any) -> str:
    """`jit int8 static 90% pruned: 31x smaller, 2.1x faster (1.9 to 2.3), 0.3 points lower (0.0 to 0.6)`."""
    if row["variant"] == base["variant"]:
        return f"the baseline, {base['variant']}"
    smaller = base["size_bytes"] / row["size_bytes"]
    parts = [f"{smaller:.3g}x smaller" if smaller >= 1 else f"{1 / smaller:.3g}x larger"]
    speed, lo, hi = row["speedup"], row["speedup_lo"], row["speedup_hi"]
    if speed >= 1:
        parts.append(f"{speed:.3g}x faster{_interval(lo, hi, 1, '.3g')}")
    else:
        parts.append(f"{1 / speed:.3g}x slower{_interval(1 / hi, 1 / lo, 1, '.3g')}")
    if row["recipe"] == base["recipe"]:
        return f"{row['variant']}: the same model, {parts[-1]}"
    loss, lo, hi = row["accuracy_loss"], row["accuracy_loss_lo"], row["accuracy_loss_hi"]
    if loss >= 0:
        parts.append(f"{100 * loss:.2f} points less accurate{_interval(lo, hi, 100, '.2f')}")
    else:
        parts.append(f"{-100 * loss:.2f} points more accurate{_interval(-hi, -lo, 100, '.2f')}")
    return f"{row['variant']}: {', '.join(parts)}"


def _points(gain: float) -> str:
    return f"{100 * abs(gain):.2f} points {'better' if gain >= 0 else 'worse'}"


def _interval(lo: float | None, hi: float | None, factor: float, shape: str) -> str:
    return "" if lo is None or hi is None else f" ({factor * lo:{shape}} to {factor * hi:{shape}})"


def technique_path(rows: "pd.DataFrame", variant: str) -> "pd.DataFrame":
    """The rows from the baseline to `variant`, adding one technique at a time; steps not in the grid are left out."""
    base = rows[rows["verdict"] == "baseline"].iloc[0]
    goal = rows[rows["variant"] == variant].iloc[0]
    levels, names = {factor: base[factor] for factor in TECHNIQUE_ORDER}, [base["variant"]]
    for factor in TECHNIQUE_ORDER:
        if levels[factor] == goal[factor]:
            continue
        levels[factor] = goal[factor]
        found = rows
        for name, level in levels.items():
            found = found[found[name] == level]
        names += found["variant"].tolist()
    return rows.set_index("variant", drop=False).loc[list(dict.fromkeys(names))]
