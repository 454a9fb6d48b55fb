"""How much runs of one spec differ on this machine, and how often two of them get a verdict.

`python -m tests.benchmarks.repeats [N] [EXPERIMENT] [FIELD=VALUE ...]` runs the quick preset of an experiment (jit) N
times (8) in a database of its own, a few seconds each, and compares every pair as the Compare page does: once as if
the two were the only ones (a default stands for the variation between runs), once among all repeats. Goal: a verdict
at any point in at most 5% of the pairs.
"""

import itertools
import sys
import tempfile
from pathlib import Path

from experiments.bench.columns import INCONCLUSIVE
from experiments.cli.fields import spec_from
from experiments.registry import find
from experiments.runs import bundle, jobs, ratios, remarks, store
from tests.benchmarks.sizes import size


def measured(url: str, runs: int, name: str, fields: list[str]) -> list[str]:
    """The ids of so many runs of one spec."""
    spec = spec_from(find(name), "quick", fields)
    ids = [jobs.run_now(name, spec, url=url) for _ in range(runs)]
    for run_id in ids:
        run = store.get_run(store.engine(url), run_id)
        assert run and run["status"] == "done", run and run["message"]
        print(f"{run_id}: {remarks.neighbors(run['environment']) or 'no busy neighbor'}")
    return ids


def alone(url: str, pair: tuple[str, str], folder: Path) -> str:
    """The URL of a database that holds these two runs only."""
    only = f"sqlite:///{folder / '-'.join(pair)}.db"
    for run_id in pair:
        bundle.import_run(store.engine(only), bundle.export(store.engine(url), run_id))
    return only


def has_verdict(url: str, pair: tuple[str, str]) -> bool:
    """Whether any point of two runs gets a verdict."""
    db = store.engine(url)
    one, other = (store.get_run(db, run_id) for run_id in pair)
    assert one and other
    return bool((ratios.compare(db, one, other)["verdict"] != INCONCLUSIVE).any())


def main(runs: int, name: str, fields: list[str]) -> None:
    """Prints the deviation of every point, and the share of pairs with a verdict."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/runs.db"
        ids = measured(url, runs, name, fields)
        db = store.engine(url)
        first, second = (store.get_run(db, run_id) for run_id in ids[:2])
        assert first and second
        for row in ratios.compare(db, first, second).to_dict("records"):
            print(f"{row['variant']}, {row['point']}: {row['deviation']:.2%} between {row['repeats']} runs")
        pairs = list(itertools.combinations(ids, 2))
        found = {
            "by the default": sum(has_verdict(alone(url, pair, Path(folder)), pair) for pair in pairs),
            "by repeats": sum(has_verdict(url, pair) for pair in pairs),
        }
        for basis, count in found.items():
            print(f"{basis}: a verdict in {count} of {len(pairs)} pairs ({count / len(pairs):.0%})")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else size(8, 3), given[1] if len(given) > 1 else size("jit", "control"), given[2:])
