"""The control's proof in full: how often comparisons of a call with itself get a verdict, and 5% more work is found.

`python -m tests.benchmarks.false_alarms DEVICE FILE [MINUTES] [PRESET]` repeats the control's preset `short` (7 calls
in float32 and int8; or `proof`: 9 calls) in rounds of one comparison of each call, in a process of its own each. Every
round is appended to FILE (JSON lines), and a program that is started again continues there, until each call has 200
comparisons or MINUTES (by default 9) are over. Goals: at most 6% of all comparisons of a call with itself get a
verdict, no call has significantly more than 5%, and at least 90% of the planted differences are found where the
smallest detectable difference is below 5%. Run it on an idle machine.
"""

import json
import sys
import time
from pathlib import Path

from experiments.bench.columns import Value
from experiments.bench.statistics.intervals import wilson
from experiments.bench.timing.helper_process import run_in_process
from experiments.machine.control.answer import by_call
from experiments.machine.control.experiment import control
from tests.benchmarks.sizes import SMALL, size

COMPARISONS = size(200, 2)
KEPT = ("call", "number_format", "planted", "verdict", "speedup", "speedup_lo", "speedup_hi", "detectable", "instances")

Record = dict[str, Value]


def measure(device: str, preset: str) -> list[Record]:
    """One comparison of each call of the preset: the rows, without what is not needed here."""
    from experiments.bench.session import Bench
    from experiments.bench.timing.measure import Budget

    spec = control.presets[preset].model_copy(update={"comparisons": 1} | ({"calls": ["chain"]} if SMALL else {}))
    bench = Bench(device, lambda _: None, seed=time.time_ns(), budget=Budget(seconds=spec.budget_s))
    return [{name: row.values.get(name) for name in KEPT} for row in control.run(spec, bench)]


def main() -> None:
    device, file, minutes, preset = [*sys.argv[1:], *("CPU", "false-alarms.jsonl", "9", "short")[len(sys.argv) - 1 :]]
    path, until = Path(file), time.monotonic() + 60 * float(minutes)
    rounds = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    while len(rounds) < COMPARISONS and time.monotonic() < until:
        rounds.append(run_in_process(device, f"{__spec__.name}:measure", preset=preset))
        with path.open("a") as written:
            print(json.dumps(rounds[-1]), file=written)
        print(f"{len(rounds)} of {COMPARISONS}", flush=True)
    report(device, by_call([row for one in rounds for row in one]))


def report(device: str, cells: list[Record]) -> None:
    """Prints the counts of each call, and of all together with 95% intervals."""
    for one in cells:
        detectable = one["median_detectable"]
        print(
            f"{one['call']} {one['number_format']}: {one['false_alarms']} of {one['comparisons']} false alarms "
            f"(excess p = {one['excess_p']:.2g}), {one['found']} of {one['planted']} found, "
            f"detectable {'-' if detectable is None else f'{detectable:.1%}'}"
        )
    for counted, of, what in (("false_alarms", "comparisons", "false alarms"), ("found", "planted", "planted found")):
        share = wilson(sum(int(one[counted] or 0) for one in cells), sum(int(one[of] or 0) for one in cells))
        print(f"{device}: {what}: {share.median:.1%} (95% CI {share.lo:.1%} to {share.hi:.1%})")


if __name__ == "__main__":
    main()
