"""The harness beside pyperf and torch.utils.benchmark: a call compared with itself and with a second capture of it.

`python -m tests.benchmarks.harness [DEVICE]` takes about a quarter of an hour. Again and again a replay of a layer is
compared with itself, and one capture with another of the same function that has buffers of its own, each time as each
of the three would, in the time that pyperf takes: ours in interleaved blocks and fresh memory, pyperf in worker
processes of its own for one side and then for the other (each captures anew, so both cases are one), torch's
`blocked_autorange` for one side and then for the other. The true ratio is 1. pyperf and torch are no requirement;
what is not installed is left out. Their intervals are the usual ones of unpaired samples: means with standard errors
for pyperf, medians with interquartile ranges for torch. Each round is a process of its own.
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
from tests.benchmarks.target import Target

ROUNDS, SECONDS = size(10, 1), size(6.0, 0.5)
ROOT = Path(__file__).parents[2]
PYPERF_PROCESSES, PYPERF_VALUES, PYPERF_MIN_S = 3, 5, 0.1

Compared = list[float | None]  # median, lo, hi
Call = Callable[[], object]


def ours(device: str, seconds: float, first: Target, second: Target) -> Interval:
    from experiments.bench.session import Bench
    from experiments.bench.timing.measure import Budget

    forever = Budget(half_width=0.0, seconds=seconds, max_blocks=10**6)
    return Bench(device, lambda _: None).compare({"a": first[0], "b": second[0]}, "a", forever).speedup("b")


def torchs(device: str, seconds: float, first: Target, second: Target) -> Interval:
    from torch.utils.benchmark import Timer  # type: ignore[import-not-found]

    sides = []
    for call, synchronize in (first, second):

        def synchronized(call: Call = call, synchronize: Call = synchronize) -> None:
            call()
            synchronize()

        timer = Timer("synchronized()", globals={"synchronized": synchronized})
        sides.append(timer.blocked_autorange(min_run_time=seconds / 2))
    errors = [1.2533 * one.iqr / 1.349 / one.median / math.sqrt(len(one.times)) for one in sides]
    return unpaired(sides[0].median / sides[1].median, errors)


def pyperfs(device: str, seconds: float, first: Target, second: Target) -> Interval:
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
    def target() -> Target:
        from tests.benchmarks.target import layer

        return layer(os.environ["DEV"])

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
ITSELF, SECOND = "itself", "a second capture"


def measure(device: str, methods: list[str]) -> dict[str, dict[str, tuple[Compared, float]]]:
    """Of one round: by case and method the interval and the seconds that it took."""
    from tests.benchmarks.target import layer

    first = layer(device)
    cases, seconds = {ITSELF: first, SECOND: layer(device)}, SECONDS
    results: dict[str, dict[str, tuple[Compared, float]]] = {}
    for case, second in cases.items():
        for name in methods:
            if name == "pyperf" and case == SECOND:
                continue
            started = time.perf_counter()
            interval = METHODS[name](device, seconds, first, second)
            took = time.perf_counter() - started
            seconds = took if name == "pyperf" else seconds
            results.setdefault(case, {})[name] = ([interval.median, interval.lo, interval.hi], took)
    return results


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "CPU"
    methods = [name for name in METHODS if name == "ours" or importlib.util.find_spec(name)]
    for name in METHODS.keys() - methods:
        print(f"{name} is not installed and is left out")
    rounds = []
    for number in range(ROUNDS):
        rounds.append(run_in_process(device, "tests.benchmarks.harness:measure", methods=methods))
        told = "; ".join(
            f"{name} against {case} {compared[0]:.3f} ({compared[1]:.3f} to {compared[2]:.3f})"
            for case, by_method in rounds[-1].items()
            for name, (compared, _) in by_method.items()
        )
        print(f"round {number + 1} of {ROUNDS}: {told}", flush=True)
    for case, by_method in rounds[0].items():
        print(f"{device}: a call against {case}, {ROUNDS} rounds; the true ratio is 1")
        for name in by_method:
            report(name, [one[case][name] for one in rounds])


def report(name: str, rounds: list[tuple[list[float], float]]) -> None:
    """Prints bias, width and how often the interval holds 1."""
    ratios = [compared[0] for compared, _ in rounds]
    widths = [(hi - lo) / 2 for (_, lo, hi), _ in rounds]
    holds = sum(lo <= 1 <= hi for (_, lo, hi), _ in rounds)
    print(
        f"{name:>8}: bias {statistics.mean(ratios) - 1:+.2%}, worst {max(abs(one - 1) for one in ratios):.2%}, "
        f"half-width {statistics.median(widths):.2%}, holds 1 in {holds} of {len(rounds)}, "
        f"{statistics.mean(took for _, took in rounds):.1f} s a round"
    )


if __name__ == "__main__":
    if "--pyperf-sides" in sys.argv:
        pyperf_sides()
    else:
        main()
