"""What the harness adds to a call: its latency against a bare loop of the same call. Goal: within 1%.

`python -m tests.benchmarks.overhead [DEVICE]` takes half a minute. Harness and bare loop take turns; the loop
reads the clock once around all its calls, and waits for the device after each, as the harness does.
"""

import sys
import time
from statistics import median

from experiments.bench.statistics.series import paired_ratio
from experiments.bench.timing.helper_process import run_in_process
from tests.benchmarks.sizes import size

ROUNDS, BARE_S = size(20, 6), size(0.5, 0.05)


def measure(device: str) -> list[list[float]]:
    """Medians per round, in seconds per call: of the harness, of the bare loop, and of the bare loop again."""
    from experiments.bench.timing.measure import Budget, compare
    from tests.benchmarks.target import replay

    call, synchronize = replay(device)

    def bare() -> float:
        inner, blocks, started = 10, [], time.perf_counter()
        while time.perf_counter() - started < BARE_S:
            synchronize()
            start = time.perf_counter()
            for _ in range(inner):
                call()
                synchronize()
            blocks.append((time.perf_counter() - start) / inner)
        return median(blocks)

    def harness() -> float:
        return compare({"call": call}, "call", synchronize, Budget(seconds=BARE_S)).latency("call").median

    return [[bare(), harness(), bare()] for _ in range(ROUNDS)]


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "CPU"
    before, harness, after = zip(*run_in_process(device, f"{__spec__.name}:measure"), strict=True)
    print(f"{device}: one call takes {median(before) * 1e6:.1f} µs; {ROUNDS} rounds")
    for name, values in (("harness", harness), ("bare loop again", after)):
        ratio = paired_ratio(values, before)
        print(f"{name:>16} / bare loop: {ratio.median:.4f} (95% CI {ratio.lo:.4f} to {ratio.hi:.4f})")


if __name__ == "__main__":
    main()
