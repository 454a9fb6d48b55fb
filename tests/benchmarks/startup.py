"""Seconds until the command line has listed the experiments. Goal: under 0.5 s.

`python -m tests.benchmarks.startup`; a bare start of Python takes turns with it.
"""

import subprocess
import sys
import time

from experiments.bench.statistics.intervals import median_interval
from experiments.bench.statistics.series import paired_ratio
from tests.benchmarks.sizes import size

ROUNDS = size(20, 6)


def seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    seconds("-m", "experiments", "list")  # writes the byte code
    bare, listing = zip(
        *[(seconds("-c", ""), seconds("-m", "experiments", "list")) for _ in range(ROUNDS)], strict=True
    )
    took, ratio = median_interval(listing), paired_ratio(listing, bare)
    print(f"experiments list: {took.median:.3f} s (95% CI {took.lo:.3f} to {took.hi:.3f}, most {max(listing):.3f})")
    print(f"against a bare start of Python: {ratio.median:.1f} times (95% CI {ratio.lo:.1f} to {ratio.hi:.1f})")


if __name__ == "__main__":
    main()
