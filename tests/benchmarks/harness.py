"""The harness beside pyperf and torch.utils.benchmark: one call compared with itself, at equal time.

`python -m tests.benchmarks.harness [DEVICE]` compares a replay with itself again and again, each time as each of
the three would, in the time that pyperf takes: ours in interleaved blocks, pyperf in worker processes of its own
for one side and then for the other, torch's `blocked_autorange` for one side and then for the other. The true
ratio is 1. pyperf and torch are no requirement; what is not installed is left out. Their intervals are the usual
ones of unpaired samples: means with standard errors for pyperf, medians with interquartile ranges for torch.
"""

import functools
import importlib.util
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from experiments.bench.statistics.intervals import Interval
from experiments.bench.timing.helper_process import run_in_process
from tests.benchmarks.sizes import size

ROUNDS, SECONDS = size(5, 1), size(6.0, 0.5)
ROOT = Path(__file__).parents[2]
PYPERF_PROCESSES, PYPERF_VALUES, PYPERF_MIN_S = 3, 5, 0.1

Compared = list[float | None]  # median, lo, hi


def ours(seconds: float, call: Callable[[], object], synchronize: Callable[[], object]) -> Interval:
    from experiments.bench.timing.measure import Budget, compare

    forever = Budget(half_width=0.0, seconds=seconds, max_blocks=10**6)
    return compare({"a": call, "b": call}, "a", synchronize, forever).speedup("b")


def torchs(seconds: float, call: Callable[[], object], synchronize: Callable[[], object]) -> Interval:
    from torch.utils.benchmark import Timer  # type: ignore[import-not-found]

    def synchronized() -> None:
        call()
        synchronize()

    sides = []
    for _ in range(2):
        timer = Timer("synchronized()", globals={"synchronized": synchronized})
        sides.append(timer.blocked_autorange(min_run_time=seconds / 2))
    errors = [1.2533 * one.iqr / 1.349 / one.median / math.sqrt(len(one.times)) for one in sides]
    return unpaired(sides[0].median / sides[1].median, errors)


def pyperfs(seconds: float, call: Callable[[], object], synchronize: Callable[[], object]) -> Interval:
    import pyperf  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        command = [sys.executable, "-m", __name__, "--pyperf-sides", "-o", str(file), "--quiet"]
        command += [f"--processes={PYPERF_PROCESSES}", f"--values={PYPERF_VALUES}", f"--min-time={PYPERF_MIN_S}"]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        sides = [one.get_values() for one in pyperf.BenchmarkSuite.load(str(file)).get_benchmarks()]
    means = [statistics.mean(one) for one in sides]
    errors = [statistics.stdev(one) / mean / math.sqrt(len(one)) for one, mean in zip(sides, means, strict=True)]
    return unpaired(means[0] / means[1], errors)


def pyperf_sides() -> None:
    """pyperf's own process: runs its workers for one side, then for the other."""
    import pyperf  # type: ignore[import-not-found]

    sys.argv.remove("--pyperf-sides")
    runner = pyperf.Runner(program_args=("-m", "tests.benchmarks.harness", "--pyperf-sides"))
    runner.parse_args().inherit_environ = list(os.environ)

    @functools.cache
    def target() -> tuple[Callable[[], object], Callable[[], object]]:
        from tests.benchmarks.target import replay

        return replay(os.environ["DEV"])

    def timed(loops: int) -> float:
        call, synchronize = target()
        synchronize()
        started = pyperf.perf_counter()
        for _ in range(loops):
            call()
            synchronize()
        return float(pyperf.perf_counter() - started)

    for side in ("a", "b"):
        runner.bench_time_func(side, timed)


def unpaired(ratio: float, relative_errors: list[float]) -> Interval:
    """The ratio of two sides with the 95% interval that their standard errors make."""
    half = 1.96 * math.hypot(*relative_errors) * ratio
    return Interval(ratio, ratio - half, ratio + half)


METHODS = {"pyperf": pyperfs, "ours": ours, "torch": torchs}  # pyperf decides how long a round takes


def measure(device: str, methods: list[str]) -> dict[str, list[tuple[Compared, float]]]:
    """Per method and round the interval and the seconds that it took."""
    from tests.benchmarks.target import replay

    target = replay(device)
    results: dict[str, list[tuple[Compared, float]]] = {name: [] for name in methods}
    for number in range(ROUNDS):
        seconds = SECONDS
        for name in methods:
            started = time.perf_counter()
            interval = METHODS[name](seconds, *target)
            took = time.perf_counter() - started
            seconds = took if name == "pyperf" else seconds
            results[name].append(([interval.median, interval.lo, interval.hi], took))
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
    return results


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "CPU"
    methods = [name for name in METHODS if name == "ours" or importlib.util.find_spec(name)]
    for name in METHODS.keys() - methods:
        print(f"{name} is not installed and is left out")
    results = run_in_process(device, "tests.benchmarks.harness:measure", methods=methods)
    print(f"{device}: one call against itself, {ROUNDS} rounds; the true ratio is 1")
    for name, rounds in results.items():
        ratios = [compared[0] for compared, _ in rounds]
        widths = [(hi - lo) / 2 for (_, lo, hi), _ in rounds]
        holds = sum(lo <= 1 <= hi for (_, lo, hi), _ in rounds)
        print(
            f"{name:>8}: bias {statistics.mean(ratios) - 1:+.2%}, worst {max(abs(one - 1) for one in ratios):.2%}, "
            f"half-width {statistics.median(widths):.2%}, holds 1 in {holds} of {ROUNDS}, "
            f"{statistics.mean(took for _, took in rounds):.1f} s a round"
        )


if __name__ == "__main__":
    if "--pyperf-sides" in sys.argv:
        pyperf_sides()
    else:
        main()
