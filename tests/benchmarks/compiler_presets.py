"""How long the quick presets of the compiler experiments take together, and their figures to draw in a browser.

Run by hand: `python -m tests.benchmarks.compiler_presets`. Goals: under 180 s on 2 cores, and under 1 s for the
heaviest figure once plotly is loaded.
"""

import os
import shutil
import tempfile
import time

from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs

import experiments
from dashboard.figures import Panel, view_of
from experiments.registry import registered
from tests.benchmarks.sizes import size

NAMES = size(("shapes", "beam", "fusion", "memory", "rewrites"), ("memory",))
DRAW = """async (figure) => {
  const start = performance.now();
  await Plotly.newPlot(document.body.appendChild(document.createElement("div")), JSON.parse(figure));
  return performance.now() - start;
}"""


def ran(name: str) -> tuple[float, list[Panel]]:
    """Seconds that the quick preset of an experiment takes, and the figures of its run."""
    started = time.perf_counter()
    rows = experiments.run(name, preset="quick")
    seconds = time.perf_counter() - started
    run_id = rows["run_id"].iloc[0]
    details = {one: experiments.detail(run_id, one) for one in registered()[name].details}
    made, grid = view_of(name), registered()[name].grid
    point = {axis: rows[axis].iloc[0] for axis in grid}

    def there(frame):
        for axis in set(point) & set(frame):
            frame = frame[frame[axis] == point[axis]]
        return frame

    at_point = {one: there(frame) for one, frame in details.items()}
    return seconds, [*made.panels(rows, details), *made.point_panels(there(rows), at_point)]


def main() -> None:
    """Prints seconds of every preset and milliseconds of every figure, the sum and the most beside their goals."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYLAB_DATABASE"] = f"sqlite:///{folder}/runs.db"
        seen = {name: ran(name) for name in NAMES if name in registered()}
    drawn = {}
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=get_plotlyjs())
        for name, (seconds, panels) in seen.items():
            print(f"{name}: {seconds:.1f} s")
            for panel in panels:
                drawn[f"{name}: {panel.title}"] = page.evaluate(DRAW, panel.figure.to_json())
        browser.close()
    for title, milliseconds in drawn.items():
        print(f"  {milliseconds:6.0f} ms  {title}")
    total, most = sum(seconds for seconds, _ in seen.values()), max(drawn.values())
    print(f"{len(seen)} presets in {total:.1f} s: {total / 180:.2f} of the goal of 180 s")
    print(f"heaviest figure {most:.0f} ms: {most / 1000:.2f} of the goal of 1 s")


if __name__ == "__main__":
    main()
