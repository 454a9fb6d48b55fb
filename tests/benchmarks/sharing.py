"""How long sharing takes with 10,000 stored runs of 20 rows each: `python -m tests.benchmarks.sharing`.

Goals: Runs page under 2 s and a comparison of 100 runs under 3 s, both in Chromium on a second visit; CSV of all rows
under 3 s; import of 1,000 bundles under 10 s. The rows are those of a bundled JIT run with all their columns, each with
its timings; the bundles hold that run whole, with its details.
"""

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright
from sqlalchemy import Engine, insert

from experiments.bench.rows import Row
from experiments.runs import bulk_export, bundle, examples, run_data, schema, store
from tests.benchmarks.sizes import size
from tests.browser.browser_tools import ROOT, Visitor, start_app

RUNS, ROWS, BUNDLES, COMPARED = size((10_000, 20, 1_000, 100), (30, 4, 2, 2))
ROUNDS = size(5, 1)
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Prints each time beside its goal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/runs.db"
        db = store.engine(url)
        example = measured(db)
        timed("import of 1,000 bundles, in this process", 10, importing(example, folder))
        timed("the same by the command line", 10, lambda: command(f"{folder}/cli.db", "import", *bundles(folder)))
        ids = fill(db, example)
        timed("CSV of all rows, in this process", 3, lambda: sum(len(part) for part in bulk_export.rows_csv(db)))
        timed("the same by the command line", 3, lambda: command(f"{folder}/runs.db", "runs", "--csv", f"{folder}/csv"))
        in_chromium(folder, url, ids)


def measured(db: Engine) -> run_data.RunData:
    """The bundled JIT run of a CPU, its rows repeated until there are as many as wanted."""
    one = next(one for one in examples.bundled("jit") if one.machine == "cpu")
    examples.load(db, [one])
    found = run_data.read(db, one.run_id)
    assert found is not None
    store.delete_run(db, one.run_id)
    rows = [found.rows[number % len(found.rows)] for number in range(ROWS)]
    rows = [Row({**row.values, "batch": 2 ** (number // 2)}, row.samples) for number, row in enumerate(rows)]
    return dataclasses.replace(found, rows=rows)


def bundles(folder: Path) -> list[str]:
    """The files of the bundles."""
    return [str(file) for file in sorted((folder / "bundles").iterdir())]


def importing(example: run_data.RunData, folder: Path) -> Callable[[], object]:
    """Writes 1,000 bundles as files; the returned function imports them."""
    (folder / "bundles").mkdir()
    made, other = (store.engine(f"sqlite:///{folder}/{name}.db") for name in ("made", "other"))
    for number in range(BUNDLES):
        run_id = f"{number:012x}"
        run_data.add(made, dataclasses.replace(example, run={**example.run, "id": run_id}), {})
        (folder / "bundles" / f"{run_id}.zip").write_bytes(bundle.export(made, run_id))
    return lambda: [bundle.import_run(other, Path(one).read_bytes()) for one in bundles(folder)]


def fill(db: Engine, example: run_data.RunData) -> list[str]:
    """Writes the runs; returns their ids, newest first."""
    ids = [f"{number:012x}" for number in range(RUNS)]
    rows = [{"number": number, "record": row.values} for number, row in enumerate(example.rows)]
    timed = [
        {"number": number, "kind": one.kind, "inner": one.inner, "seconds": one.seconds}
        for number, row in enumerate(example.rows)
        for one in row.samples
        if one.kind == "block"
    ]
    for start in range(0, RUNS, 500):
        part = ids[start : start + 500]
        with db.begin() as connection:
            runs = [{**example.run, "id": one, "created": 1e9 - int(one, 16)} for one in part]
            connection.execute(insert(schema.runs), runs)
            connection.execute(insert(schema.rows), [{**row, "run_id": one} for one in part for row in rows])
            connection.execute(insert(schema.samples), [{**one, "run_id": run} for run in part for one in timed])
    return ids


def command(database: str, *arguments: str) -> None:
    """The command line, from its start to its end."""
    asked = [sys.executable, "-m", "experiments", *arguments]
    environment = {"TINYLAB_DATABASE": f"sqlite:///{database}", "PATH": ""}
    subprocess.run(asked, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def in_chromium(folder: Path, url: str, ids: list[str]) -> None:
    """Opens the pages in new tabs of one browser; the first visit to each does not count."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium")
    app = start_app(folder, "--server.headless", "true", database=url)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=BROWSER)
            visitor = Visitor(browser, app)
            compared = f"/compare?runs={','.join(ids[:COMPARED])}&x=batch&y=latency_ms"
            for what, goal, path, there in (
                ("Runs page in Chromium", 2, "/runs", "Edit"),
                ("comparison of 100 runs in Chromium", 3, compared, ""),
            ):
                visited(visitor, path, there)
                took = [visited(visitor, path, there) for _ in range(ROUNDS)]
                report(
                    what, sorted(took)[ROUNDS // 2], goal, f"{min(took):.2f} to {max(took):.2f} s in {ROUNDS} visits"
                )
            timed("CSV of all rows, clicked", 3, clicked(visitor, "CSV: rows of all matching runs"))
            browser.close()
    finally:
        app.stop()


def visited(visitor: Visitor, path: str, button: str) -> float:
    """Seconds from entering the address until the page's last part is there and its script has ended."""
    page = visitor.context.new_page()
    start = time.perf_counter()
    page.goto(visitor.app.address + path, wait_until="commit")
    last: Any = page.get_by_role("button", name=button) if button else page.locator(".js-plotly-plot .scatterlayer")
    expect(last.last).to_be_visible()
    if not button:
        page.wait_for_function(DRAWN, arg=size(COMPARED * ROWS, 1))
        expect(page.get_by_text("Ratio of two runs")).to_be_visible()
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    took = time.perf_counter() - start
    page.close()
    return took


DRAWN = "points => document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length >= points"


def clicked(visitor: Visitor, button: str) -> Callable[[], object]:
    """Opens the Runs page; the returned function downloads."""
    page = visitor.open("/runs")

    def download() -> object:
        with page.expect_download() as found:
            page.get_by_role("button", name=button).click()
        return found.value.path()

    return download


def timed(what: str, goal_s: float, call: Callable[[], object]) -> None:
    """Prints how long the call took."""
    start = time.perf_counter()
    call()
    report(what, time.perf_counter() - start, goal_s)


def report(what: str, seconds: float, goal_s: float, more: str = "") -> None:
    """Prints one time."""
    print(f"{what:<42} {seconds:6.2f} s   goal {goal_s} s   {more}", flush=True)


if __name__ == "__main__":
    main()
