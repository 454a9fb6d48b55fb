"""tinygrad lab: experiments that measure the gains of tinygrad's compiler and of model compression.

`run("jit", batch=[16])` measures on this machine and returns the rows as a pandas frame; `frame(run_id)` and
`detail(run_id, "timeline")` read stored runs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["__version__", "detail", "frame", "run"]

__version__ = "0.1.0"  # as in pyproject.toml; app and workers must have the same


def run(name: str, *, preset: str | None = None, time_limit_s: float = 900.0, **fields: Any) -> "pd.DataFrame":
    """Runs an experiment in a child process, stores the run, and returns its rows.

    `fields` are fields of the experiment's spec and override the preset's. Raises BadInput before anything runs, and
    Raises RuntimeError with the run id where the run does not end as `done`; its rows up to then are stored.
    """
    from experiments.bench.spec import parse
    from experiments.registry import find
    from experiments.runs import jobs, store

    experiment = find(name)
    given = experiment.preset(preset).model_dump() if preset else {}
    run_id = jobs.run_now(name, parse(experiment.spec, given | fields), time_limit_s=time_limit_s)
    ended = store.get_run(store.engine(store.database_url()), run_id)
    if ended is None or ended["status"] != "done":
        state = "was deleted" if ended is None else f"{ended['status']}: {ended['message']}"
        raise RuntimeError(f"run {run_id} {state}")
    return frame(run_id)


def frame(run_id: str) -> "pd.DataFrame":
    """The rows of a stored run; raises KeyError for an unknown id."""
    from experiments.registry import find
    from experiments.runs import frames, store

    db = store.engine(store.database_url())
    if (found := store.get_run(db, run_id)) is None:
        raise KeyError(run_id)
    return frames.rows_frame(db, found, find(found["experiment"]))


def detail(run_id: str, name: str) -> "pd.DataFrame":
    """One detail of a stored run; raises KeyError for an unknown run or detail."""
    from experiments.registry import find
    from experiments.runs import frames, store

    db = store.engine(store.database_url())
    if (found := store.get_run(db, run_id)) is None:
        raise KeyError(run_id)
    return frames.detail_frame(db, found, find(found["experiment"]), name)
