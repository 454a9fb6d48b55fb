"""One function captured four times: do three identical captures get a verdict, and does 5% more work?

`python -m tests.benchmarks.twins DEVICE FILE` takes about half a minute for each of 100 repetitions of both sizes, in a
process of its own each, writes every repetition into FILE (JSON lines) and continues there when it is started again.
Goals: of the three comparisons of twins at most 6% get a verdict at either size, and of a comparison of 20 calls with
21 calls of one capture each at least 90%. Run it on an idle machine.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.bench.statistics.intervals import wilson
from experiments.bench.timing.helper_process import run_in_process
from tests.benchmarks.sizes import size

REPETITIONS, SIZES = size(100, 1), size((512, 700), (64,))
ROWS, FEW_ROWS = 64, 4  # of the twins; of the planted difference, whose call repeats a capture
BUDGET_S = size(4.0, 0.1)
CALLS, MORE_CALLS = 20, 21  # the planted difference: 5% more work
TWINS, PLANTED = ("second", "third", "fourth"), "planted"
FOUND = "slower"  # the right verdict on the planted difference

Record = dict[str, Any]


def measure(device: str, n: int) -> Record:
    """The verdict and the ratio of each twin, and of the planted difference."""
    import numpy as np

    from experiments.bench.session import Bench
    from experiments.bench.timing.measure import Budget
    from experiments.bench.tinygrad.capture import capture
    from experiments.bench.tinygrad.runtime import normal

    rng, bench = np.random.default_rng(0), Bench(device, lambda _: None, budget=Budget(seconds=BUDGET_S))

    def captured(rows: int) -> Callable[[], Any]:
        """A capture with weights, input and output of its own."""
        weights, given = normal(rng, n, n, device=device), normal(rng, rows, n, device=device)
        jit, _ = capture(lambda x: (x @ weights).relu().realize(), given)
        return lambda: jit(given)

    def repeated(calls: int) -> Callable[[], object]:
        call = captured(FEW_ROWS)
        return lambda: [call() for _ in range(calls)]

    twins = bench.compare({name: captured(ROWS) for name in ("first", *TWINS)}, "first")
    planted = bench.compare({"fewer": repeated(CALLS), PLANTED: repeated(MORE_CALLS)}, "fewer")
    record: Record = {"device": device, "n": n}
    for name, compared in [*((name, twins) for name in TWINS), (PLANTED, planted)]:
        speedup, control = compared.speedup(name), compared.control_ratio()
        record[name] = {
            "verdict": compared.verdict(name),
            "ratio": [speedup.median, speedup.lo, speedup.hi],
            "control": [control.lo, control.hi],
            "instances": compared.instances(name),
        }
    return record


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "CPU"
    file = Path(sys.argv[2] if len(sys.argv) > 2 else "twins.jsonl")
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {n: [one for one in known if (one["device"], one["n"]) == (device, n)] for n in SIZES}
    for number in range(REPETITIONS):
        for n in SIZES:
            if number < len(done[n]):
                continue
            record = run_in_process(device, f"{__spec__.name}:measure", n=n)
            done[n].append(record)
            with file.open("a") as written:
                print(json.dumps(record), file=written)
            verdicts = ", ".join(f"{name} {record[name]['verdict']}" for name in (*TWINS, PLANTED))
            print(f"{number + 1} of {REPETITIONS}, n = {n}: {verdicts}", flush=True)
    for n in SIZES:
        report(device, n, done[n])


def report(device: str, n: int, records: list[Record]) -> None:
    """Prints the shares of false verdicts and of planted differences that were found, with their 95% intervals."""
    false = [one[name]["verdict"] != "cannot tell" for one in records for name in TWINS]
    found = [one[PLANTED]["verdict"] == FOUND for one in records]
    for what, cases in (("twins with a verdict", false), ("planted 5% found", found)):
        share = wilson(sum(cases), len(cases))
        ends = f"95% {share.lo:.1%} to {share.hi:.1%}"
        print(f"{device}, n = {n}: {what}: {sum(cases)} of {len(cases)}, {share.median:.1%} ({ends})")


if __name__ == "__main__":
    main()
