"""The answer of the multi-device experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.bench.answers import says

if TYPE_CHECKING:
    import pandas as pd

PROCESSES = "processes"
WHY = (
    "; on a CPU the devices of one process are virtual and take turns on one core ({busy:.2g} cores busy), so that "
    "there is nothing to gain, and a gain would be a trick of the caches"
)


def sentence(frame: "pd.DataFrame") -> str:
    """What the best layout buys at the last grid point, and for the CPU the reason why it buys nothing."""
    rows = frame[frame["speedup"].notna()]
    if rows.empty:
        return ""
    last = rows.iloc[-1]
    there = rows[(rows["batch"] == last["batch"]) & (rows["inputs"] == last["inputs"])]
    inside, outside = there[there["layout"] != PROCESSES], rows[rows["layout"] == PROCESSES]
    cpu = str(last["device"]).startswith("CPU")
    parts = []
    if len(inside):
        best = inside.sort_values("speedup").iloc[-1]
        parts.append(f"{_says(best)}{WHY.format(busy=best['cpu_per_wall']) if cpu else ''}")
    if len(outside):
        best = outside.sort_values("speedup").iloc[-1]
        parts.append(f"{_says(best)} with {best['cpu_per_wall']:.2g} cores busy")
    return f"On {last['device']}, {last['batches']} batches of {last['batch']}: {'; '.join(parts)}."


def _says(row: Any) -> str:
    wasted = f", efficiency {row['efficiency']:.0%}" if row["verdict"] == "faster" else ""
    return f"{row['variant']} {says(row, 'the call')}{wasted}"
