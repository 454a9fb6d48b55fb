"""tinygrad lab: experiments on what tinygrad's compiler and model compression really buy.

`run("jit", batch=[16])` measures here and now and returns the rows as a pandas frame; `frame(run_id)` and
`detail(run_id, "timeline")` bring stored ones back.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["__version__", "detail", "frame", "run"]

__version__ = "0.1.0"  # that of pyproject.toml: app and workers compare it


def run(name: str, *, preset: str | None = None, time_limit_s: float = 900.0, **fields: Any) -> "pd.DataFrame":
    """Carries out one experiment in a child process, keeps the run, and returns its rows.

    `fields` are those of the experiment's spec, on top of the preset's. Raises BadInput before anything runs,
    and RuntimeError where the run does not end as done; the rows that it had are kept under the id it names.
    """
    from experiments.bench.spec import parse
    from experiments.registry import find
    from experiments.runs import jobs, store

    experiment = find(name)
    given = experiment.preset(preset).model_dump() if preset else {}
    run_id = jobs.run_now(name, parse(experiment.spec, given | fields), time_limit_s=time_limit_s)
    ended = store.get_run(store.engine(store.database_url()), run_id)
    if ended is None or ended["status"] != "done":
        said = "is gone" if ended is None else f"{ended['status']}: {ended['message']}"
        raise RuntimeError(f"run {run_id} {said}")
    return frame(run_id)


def frame(run_id: str) -> "pd.DataFrame":
    """The rows of a stored run; KeyError where there is none of this id."""
    from experiments.registry import find
    from experiments.runs import frames, store

    db = store.engine(store.database_url())
    if (found := store.get_run(db, run_id)) is None:
        raise KeyError(run_id)
    return frames.rows_frame(db, found, find(found["experiment"]))


def detail(run_id: str, name: str) -> "pd.DataFrame":
    """One detail of a stored run; KeyError where there is no such run or detail."""
    from experiments.registry import find
    from experiments.runs import frames, store

    db = store.engine(store.database_url())
    if (found := store.get_run(db, run_id)) is None:
        raise KeyError(run_id)
    return frames.detail_frame(db, found, find(found["experiment"]), name)
