"""How long a study of 500 variants takes to be judged and drawn.

Goals: the front within 1 s, a figure drawn within 1 s once plotly is loaded. `python -m tests.benchmarks.tradeoffs`
takes seconds; drawing wants Chromium. The variants are made up: 10,000 test images, 20 blocks, 1,000 resamples. Beside
the figures stands plotly's own of as many plain points.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.statistics.pareto import RESAMPLES, Objectives, front, resample
from tests.benchmarks.sizes import size

VARIANTS, IMAGES, BLOCKS, REPEATS = size(500, 12), size(10_000, 500), 20, size(5, 1)
TESTS = Path(__file__).parents[1]
DRAW = """async figure => {
  const there = document.body.appendChild(document.createElement("div"));
  const began = performance.now();
  await Plotly.newPlot(there, figure.data, figure.layout);
  await new Promise(requestAnimationFrame);
  const took = performance.now() - began;
  there.remove();
  return took;
}"""


def study() -> Objectives:
    """Variants whose wrong images are mostly the same, as those of one network are; a third share their bytes."""
    rng = np.random.default_rng(0)
    hard, levels = rng.random(IMAGES), rng.uniform(0.85, 0.99, VARIANTS)
    right = hard + rng.normal(0, 0.05, (VARIANTS, IMAGES)) < levels[:, None]
    logs = rng.normal(-6, 1, (VARIANTS, 1)) + rng.normal(0, 0.05, BLOCKS) + rng.normal(0, 0.03, (VARIANTS, BLOCKS))
    sizes = rng.integers(10_000, 400_000, VARIANTS)
    sizes[::3] = sizes[0]
    return Objectives(right, np.exp(logs), sizes)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def say(what: str, seconds: list[float], goal: str = "") -> None:
    """Prints the median and the range of some repetitions."""
    spread = f"{min(seconds):.3g} to {max(seconds):.3g}"
    print(f"{what}: {statistics.median(seconds):.3g} s ({spread}){goal}", flush=True)


def measure(what: str, call: Callable[[], object], goal: str = "") -> None:
    """Repeats a call after a first one that does not count."""
    call()
    say(what, [timed(call) for _ in range(REPEATS)], goal)


@contextmanager
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, NAMES, shutil

    program = next(found for found in map(shutil.which, NAMES) if found)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


def drawing(chromium: Any, figures: dict[str, Any]) -> None:
    """Draws figures in a page in which plotly is loaded."""
    import json

    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs

    page = chromium.new_page(viewport={"width": 700, "height": 700})
    page.add_script_tag(content=get_plotlyjs())
    rng = np.random.default_rng(0)
    plain = go.Figure(go.Scatter(x=rng.random(VARIANTS).tolist(), y=rng.random(VARIANTS).tolist(), mode="markers"))
    for name, figure in {f"{VARIANTS} plain points": plain, **figures}.items():
        described = json.loads(figure.to_json())
        page.evaluate(DRAW, described)
        say(f"drawn, {name}", [page.evaluate(DRAW, described) / 1000 for _ in range(REPEATS)], ", goal 1 s")


def main() -> None:
    one = study()
    measure(f"front of {VARIANTS} variants, {RESAMPLES} resamples", lambda: front(one, resample(one)), ", goal 1 s")
    from dashboard.figures.tradeoffs.figures import point_panels
    from tests.dashboard.study_records import details, rows

    frame, others = rows(VARIANTS), details()
    measure("its figures made", lambda: [panel.figure.to_json() for panel in point_panels(frame, others)], ", goal 1 s")
    with browser() as chromium:
        drawing(chromium, {panel.title: panel.figure for panel in point_panels(frame, others)[:4]})


if __name__ == "__main__":
    main()
