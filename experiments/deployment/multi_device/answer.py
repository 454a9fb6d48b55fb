"""The answer of the multi-device experiment in one sentence."""

from typing import TYPE_CHECKING, Any

from experiments.bench.answers import describe_speedup
from experiments.bench.machine.device import Device

if TYPE_CHECKING:
    import pandas as pd

PROCESSES = "processes"
CPU_NOTE = (
    "; on a CPU the devices of one process are virtual and take turns on one core ({busy}), so no "
    "speedup is expected, and an observed one is a cache effect"
)


def sentence(frame: "pd.DataFrame") -> str:
    """The speedup of the best strategy at its grid point, wrong results, and why a CPU gains nothing."""
    rows = frame[frame["speedup"].notna()]
    if rows.empty:
        return ""
    first = rows.iloc[0]
    inside, outside = rows[rows["layout"] != PROCESSES], rows[rows["layout"] == PROCESSES]
    cpu = Device.parse(str(first["device"])).is_cpu
    parts = []
    if len(inside):
        best = inside.sort_values("speedup").iloc[-1]
        parts.append(f"{_speedup(best)}{CPU_NOTE.format(busy=_busy(best)) if cpu else ''}")
    if len(outside):
        best = outside.sort_values("speedup").iloc[-1]
        parts.append(f"{_speedup(best)} with {_busy(best)}")
    if wrong := [f"{row['variant']} {_where(row)}" for _, row in frame[frame["verdict"] == "wrong"].iterrows()]:
        parts.append(f"the results of {', '.join(wrong)} were wrong")
    return f"On {first['device']}, {first['batches']} batches in one call: {'; '.join(parts)}."


def _busy(row: Any) -> str:
    cores = f"{row['cpu_per_wall']:.2g}"
    return f"{cores} core{'' if cores == '1' else 's'} busy"


def _speedup(row: Any) -> str:
    efficiency = f", efficiency {row['efficiency']:.0%}" if row["verdict"] == "faster" else ""
    return f"{row['variant']} {_where(row)} {describe_speedup(row, 'the call')}{efficiency}"


def _where(row: Any) -> str:
    inputs = "on each device" if row["inputs"] == "resident" else "on the first device"
    return f"(batch {row['batch']}, inputs {inputs})"
