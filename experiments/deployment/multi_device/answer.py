"""The answer of the multi-device experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.bench.answers import describe_speedup
from experiments.bench.machine.device import Device

if TYPE_CHECKING:
    import pandas as pd

PROCESSES = "processes"
WHY = (
    "; on a CPU the devices of one process are virtual and take turns on one core ({busy:.2g} cores busy), so that "
    "there is nothing to gain, and a gain would be a trick of the caches"
)


def sentence(frame: "pd.DataFrame") -> str:
    """What the best layout buys at its grid point, which results were wrong, and why a CPU has nothing to gain."""
    rows = frame[frame["speedup"].notna()]
    if rows.empty:
        return ""
    first = rows.iloc[0]
    inside, outside = rows[rows["layout"] != PROCESSES], rows[rows["layout"] == PROCESSES]
    cpu = Device.parse(str(first["device"])).is_cpu
    parts = []
    if len(inside):
        best = inside.sort_values("speedup").iloc[-1]
        parts.append(f"{_says(best)}{WHY.format(busy=best['cpu_per_wall']) if cpu else ''}")
    if len(outside):
        best = outside.sort_values("speedup").iloc[-1]
        parts.append(f"{_says(best)} with {best['cpu_per_wall']:.2g} cores busy")
    if wrong := [f"{row['variant']} {_where(row)}" for _, row in frame[frame["verdict"] == "wrong"].iterrows()]:
        parts.append(f"the results of {', '.join(wrong)} were wrong")
    return f"On {first['device']}, {first['batches']} batches in one call: {'; '.join(parts)}."


def _says(row: Any) -> str:
    wasted = f", efficiency {row['efficiency']:.0%}" if row["verdict"] == "faster" else ""
    return f"{row['variant']} {_where(row)} {describe_speedup(row, 'the call')}{wasted}"


def _where(row: Any) -> str:
    place = "on each device" if row["inputs"] == "resident" else "on the first device"
    return f"(batch {row['batch']}, inputs {place})"
