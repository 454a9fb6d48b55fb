"""What the control says: the share of false alarms, by call and in all, and of planted differences that were found."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.bench.columns import INCONCLUSIVE, Column, Value
from experiments.bench.statistics.intervals import CONFIDENCE, holm, wilson

if TYPE_CHECKING:
    import pandas as pd

SECOND = "second"
EXPECTED = 1 - CONFIDENCE  # false alarms of 95% intervals
FOUND = "slower"  # the right verdict on more work
SMALL_SPREAD = 0.02  # detectable differences above it are named in the answer
BY_CALL = (
    Column("call", "text", "what was compared with itself"),
    Column("number_format", "text", "float32 or int8"),
    Column("comparisons", "integer", "comparisons of two captures of the call"),
    Column("false_alarms", "integer", "comparisons of the two captures that report a difference"),
    Column("excess_p", "number", "p-value of more than 5% false alarms (binomial, corrected for all calls by Holm)"),
    Column("planted", "integer", "comparisons of 20 calls with 21"),
    Column("found", "integer", "comparisons of 20 calls with 21 that report the 21 calls as slower"),
    Column("median_detectable", "number", "median of the smallest differences that the comparisons would have found"),
)


def by_call(records: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """A record per call and number format: false alarms, and planted differences that were found."""
    cells: dict[tuple[Value, Value], list[Mapping[str, Value]]] = {}
    for record in records:
        cells.setdefault((record.get("call"), record.get("number_format")), []).append(record)
    found = [_cell(call, number_format, rows) for (call, number_format), rows in cells.items()]
    adjusted = holm([_excess_p(int(one["false_alarms"] or 0), int(one["comparisons"] or 0)) for one in found])
    return [{**one, "excess_p": p} for one, p in zip(found, adjusted, strict=True)]


def cells_of(frame: "pd.DataFrame") -> list[dict[str, Value]]:
    """The same of a run's frame."""
    records: list[Any] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return by_call(records)


def _cell(call: Value, number_format: Value, rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    twins = [one for one in rows if not one.get("planted")]
    planted = [one for one in rows if one.get("planted")]
    detectable = sorted(float(one["detectable"]) for one in twins if one.get("detectable") is not None)  # type: ignore[arg-type]
    return {
        "call": call,
        "number_format": number_format,
        "comparisons": len(twins),
        "false_alarms": sum(one["verdict"] != INCONCLUSIVE for one in twins),
        "planted": len(planted),
        "found": sum(one["verdict"] == FOUND for one in planted),
        "median_detectable": detectable[len(detectable) // 2] if detectable else None,
    }


def _excess_p(alarms: int, comparisons: int) -> float:
    """The probability of at least `alarms` in as many comparisons of a true rate of 5%. _excess_p(2, 10) == 0.0861."""
    return sum(
        math.comb(comparisons, k) * EXPECTED**k * CONFIDENCE ** (comparisons - k)
        for k in range(alarms, comparisons + 1)
    )


def answer(frame: "pd.DataFrame") -> str:
    """The rate of false alarms with its 95% Wilson interval, whether it is as expected, and what was planted."""
    if frame.empty:
        return ""
    cells = cells_of(frame)
    total, alarms = (sum(int(one[name] or 0) for one in cells) for name in ("comparisons", "false_alarms"))
    share = wilson(alarms, total)
    text = (
        f"On {frame['device'].iloc[0]}, {alarms} of {total} comparisons of a call with itself report a difference: "
        f"{share.median:.1%} false alarms (95% CI {share.lo or 0:.1%} to {share.hi or 0:.1%})"
    )
    if share.lo is not None and share.lo > EXPECTED:
        text += (
            ", more than the 5% expected of 95% intervals: other load disturbs this machine, "
            "do not trust small differences."
        )
    else:
        text += ", consistent with the 5% expected of 95% intervals."
    return text + _worst(cells) + _planted(cells)


def _worst(cells: Sequence[Mapping[str, Value]]) -> str:
    """The calls whose false alarms are significantly more than 5%, where several calls were compared."""
    worse = [f"{one['call']} {one['number_format']}" for one in cells if float(one["excess_p"] or 0) <= EXPECTED]
    return f" Significantly more for {', '.join(worse)}." if len(cells) > 1 and worse else ""


def _planted(cells: Sequence[Mapping[str, Value]]) -> str:
    total, found = (sum(int(one[name] or 0) for one in cells) for name in ("planted", "found"))
    return f" Of {total} planted differences of 5%, {found} were found ({found / total:.0%})." if total else ""
