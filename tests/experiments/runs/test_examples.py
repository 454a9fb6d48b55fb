"""The bundled examples are complete runs of registered experiments."""

import pytest
from sqlalchemy import Engine

from experiments.registry import registered
from experiments.runs import examples, frames, store


@pytest.mark.slow
def test_every_example_is_a_done_run_with_the_experiment_and_id_of_its_file_name(db: Engine) -> None:
    assert examples.load(db, examples.bundled()) == len(examples.bundled()) > 0
    for one in examples.bundled():
        run = store.get_run(db, one.run_id)
        assert run is not None
        assert (run["experiment"], run["status"], run["imported"]) == (one.experiment, "done", True)
        assert run["title"].startswith("Example: ")
        experiment = registered()[one.experiment]
        rows = frames.rows_frame(db, run, experiment)
        assert len(rows)
        assert experiment.answer(rows)


def test_examples_of_one_experiment_are_found_by_its_name() -> None:
    assert {one.experiment for one in examples.bundled("record")} == {"record"}
    assert examples.bundled("nothing") == []


def test_loading_twice_adds_nothing_and_removing_leaves_what_is_ones_own(db: Engine) -> None:
    own = store.add_run(db, experiment="jit", spec={}, device="CPU", host="here", time_limit_s=1.0, status="done")
    some = examples.bundled("record")
    assert examples.load(db, some) == len(some)
    assert examples.load(db, some) == 0
    assert examples.loaded(db) == some
    assert examples.remove(db) == len(some)
    assert [run["id"] for run in store.list_runs(db)] == [own]


def test_the_examples_are_small() -> None:
    assert sum(one.file.stat().st_size for one in examples.bundled()) < 5 * 2**20
