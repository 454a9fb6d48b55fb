"""How long a study of 500 variants takes to be judged and drawn. Goals: the front within 1 s, its figures within 1 s.

`python -m tests.benchmarks.tradeoffs` takes seconds. The variants are made up: 10,000 test images, 20 blocks, 1,000
resamples. Drawn means built and written as JSON for the browser, all figures of a grid point, plotly loaded.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.bench.pareto import RESAMPLES, Study, front, resample

VARIANTS, IMAGES, BLOCKS, REPEATS = 500, 10_000, 20, 5


def study() -> Study:
    """Variants whose wrong images are mostly the same, as those of one network are; a third share their bytes."""
    rng = np.random.default_rng(0)
    hard, levels = rng.random(IMAGES), rng.uniform(0.85, 0.99, VARIANTS)
    right = hard + rng.normal(0, 0.05, (VARIANTS, IMAGES)) < levels[:, None]
    logs = rng.normal(-6, 1, (VARIANTS, 1)) + rng.normal(0, 0.05, BLOCKS) + rng.normal(0, 0.03, (VARIANTS, BLOCKS))
    sizes = rng.integers(10_000, 400_000, VARIANTS)
    sizes[::3] = sizes[0]
    return Study(right, np.exp(logs), sizes)


def measure(what: str, goal_s: float, call: Callable[[], object]) -> None:
    """Prints the median and the range of some repetitions."""
    call()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{what}: {statistics.median(seconds):.2f} s ({spread}), goal {goal_s:g} s")


def main() -> None:
    one = study()
    measure(f"front of {VARIANTS} variants, {RESAMPLES} resamples", 1, lambda: front(one, resample(one)))
    sys.path.insert(0, str(Path(__file__).parent.parent / "dashboard"))
    from made_studies import details, rows

    from dashboard.figures.tradeoffs import point_panels

    frame, others = rows(VARIANTS), details()
    measure("its figures", 1, lambda: [panel.figure.to_json() for panel in point_panels(frame, others)])


if __name__ == "__main__":
    main()
