"""Seconds from submitting a run to its first row in the database, everything warm. Goal: under 2.5 s.

`python -m tests.benchmarks.first_row [DEVICE]` submits the JIT's quick preset to an embedded runner, as the page
does, and looks at the database every 10 ms. The first round fills the kernel cache and does not count.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from experiments.compiler.jit import jit
from experiments.runs import jobs, store
from tests.benchmarks.sizes import size

ROUNDS, POLL_S, TIMEOUT_S = size(7, 1), 0.01, 60.0


def first_row(url: str, device: str) -> dict[str, float]:
    """Seconds since the submit at which things were first seen, then the run's end is waited for."""
    db, started, seen = store.engine(url), time.perf_counter(), {}
    run_id = jobs.submit("jit", jit.presets["quick"].model_copy(update={"device": device}), url=url)
    seen["submitted"] = time.perf_counter() - started
    while (run := store.get_run(db, run_id)) is not None and time.perf_counter() - started < TIMEOUT_S:
        now = time.perf_counter() - started
        if run["status"] != store.QUEUED:
            seen.setdefault("claimed", now)
        if run["fingerprint"]:
            seen.setdefault("child is up", now)
        if "row" not in seen and store.read_rows(db, run_id):
            seen["row"] = now
        if run["status"] in store.ENDED:
            seen["end"] = now
            break
        time.sleep(POLL_S)
    if "row" not in seen:
        sys.exit(f"no row: {run and run['status']}: {run and run['message']}")
    return seen


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "CPU"
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'runs.db'}"
        runner = jobs.EmbeddedRunner(url).start()
        rounds = [first_row(url, device) for _ in range(ROUNDS + 1)][1:]
        runner.stop()
    for step in rounds[0]:
        values = [one[step] for one in rounds if step in one]
        print(f"{step:>12}: {median(values):.2f} s ({min(values):.2f} to {max(values):.2f}, {len(values)} rounds)")


if __name__ == "__main__":
    main()
