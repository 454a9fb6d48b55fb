"""How long sharing takes with 10,000 stored runs of 20 rows each: run it by hand.

Goals: Runs page under 2 s, a comparison of 100 runs under 3 s, CSV of all rows under 3 s, import of 1,000 bundles
under 10 s. The pages are drawn by Streamlit without a browser.
"""

import os
import tempfile
import time
from collections.abc import Callable

from sqlalchemy import insert
from streamlit.testing.v1 import AppTest

from experiments.runs import bundle, everything, schema, store

RUNS, ROWS, BUNDLES = 10_000, 20, 1_000


def main() -> None:
    """Prints each time beside its goal."""
    with tempfile.TemporaryDirectory() as folder:
        db = store.engine(f"sqlite:///{folder}/runs.db")
        ids = fill(db)
        told("CSV of all rows", 3, lambda: sum(len(part) for part in everything.rows_csv(db)))
        bundles = [bundle.export(db, run_id) for run_id in ids[:BUNDLES]]
        other = store.engine(f"sqlite:///{folder}/other.db")
        told(f"import of {BUNDLES:,} bundles", 10, lambda: [bundle.add(other, one) for one in bundles])
        told("Runs page", 2, page(folder, "runs"))
        told("comparison of 100 runs", 3, page(folder, "compare", runs=",".join(ids[:100])))


def fill(db: object) -> list[str]:
    """Writes the runs in one transaction; returns their ids, newest first."""
    same = {"experiment": "jit", "spec": {}, "device": "CPU", "host": "here", "status": "done", "time_limit_s": 1.0}
    ids = [f"{number:012x}" for number in range(RUNS)]
    row = {"variant": "jit", "model": "mlp3", "latency_ms": 1 / 3, "latency_lo_ms": 0.3, "latency_hi_ms": 0.4}
    row |= {"speedup": 2.5, "speedup_lo": 2.4, "speedup_hi": 2.6, "verdict": "faster", "baseline": "eager"}
    with db.begin() as connection:
        connection.execute(insert(schema.runs), [{**same, "id": one, "created": 1e9 - n} for n, one in enumerate(ids)])
        for start in range(0, RUNS, 1000):
            part = [(one, number) for one in ids[start : start + 1000] for number in range(ROWS)]
            connection.execute(
                insert(schema.rows),
                [{"run_id": one, "number": n, "record": {**row, "batch": 2**n}} for one, n in part],
            )
    return ids


def page(folder: str, name: str, **query: str) -> Callable[[], object]:
    """Draws a page on this database, warm: the second time is told."""
    os.environ["TINYLAB_DATABASE"] = f"sqlite:///{folder}/runs.db"
    script = f"from dashboard.pages import {name}\n{name}.show()\n"

    def draw() -> object:
        drawn = AppTest.from_string(script, default_timeout=60)
        for key, text in query.items():
            drawn.query_params[key] = text
        drawn.run()
        assert not drawn.exception
        return drawn

    draw()
    return draw


def told(what: str, goal_s: float, call: Callable[[], object]) -> None:
    """Prints how long the call took."""
    start = time.perf_counter()
    call()
    print(f"{what:<28} {time.perf_counter() - start:6.2f} s   goal {goal_s} s")


if __name__ == "__main__":
    main()
