"""Writes runs with one row each into the database URL: `python -m tests.experiments.runs.write_runs URL COUNT NAME`."""

import sys

from experiments.bench.rows import Row
from experiments.runs import store


def main(url: str, count: str, name: str) -> None:
    """Writes `count` runs of the runner `name`."""
    db = store.engine(url)
    run = {"experiment": "steps", "spec": {}, "device": "CPU", "host": "h", "time_limit_s": 1.0}
    for number in range(int(count)):
        run_id = store.add_run(db, **run, status=store.RUNNING, runner=name)
        batch = store.Batch()
        batch.rows = [Row({"number": number, "variant": name})]
        assert store.write(db, run_id, name, batch, 0, 0) == (True, False)


if __name__ == "__main__":
    main(*sys.argv[1:])
