"""A ceiling is measured once per machine and device, and then used by all runs there."""

import time

import pytest
from sqlalchemy import update

import experiments
from experiments.bench.machine.roofline import Ceilings
from experiments.runs import schema, store

pytestmark = pytest.mark.slow

TINY = {"model": "elementwise", "size": [16], "calls": 3, "budget_s": 0.1, "half_width": 0.5}


@pytest.fixture(scope="module")
def ran(shared_database):
    """The ceilings of two runs of the JIT experiment, one after the other: nothing was known before the first."""
    kept = []
    for _ in range(2):
        rows = experiments.run("jit", device="CPU", time_limit_s=120, **TINY)
        kept.append(experiments.detail(rows["run_id"].iloc[0], "ceilings").drop(columns="run_id"))
    return kept


def test_a_run_without_known_ceilings_measures_some_for_itself(ran):
    records = ran[0].astype(object).where(ran[0].notna(), None).to_dict("records")
    assert Ceilings.of(records) is not None


def test_the_next_run_on_this_machine_takes_them_over(ran):
    assert ran[1].equals(ran[0])


@pytest.fixture
def db(url):
    return store.engine(url)


@pytest.fixture
def kept(db):
    """Writes a run that has ceilings, each told from the others by its rate."""

    def add(rate, experiment="jit", status="done", fingerprint="here", age_s=0.0, detail="ceilings"):
        now = time.time() - age_s
        run_id = store.add_run(
            db, experiment=experiment, spec={}, device="CPU", host="h", time_limit_s=1.0, fingerprint=fingerprint
        )
        store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.details = [(detail, [{"gb_s": rate, "moved_bytes": 8}]), (detail, [{"gflops": rate, "n": 9}])]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", status, "")
        with db.begin() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(created=now))
        return run_id

    return add


def rates(db, fingerprint="here"):
    return [one.get("gb_s") or one["gflops"] for one in store.known_ceilings(db, fingerprint)]


def test_nothing_is_known_of_a_new_machine(db):
    assert store.known_ceilings(db, "here") == []


def test_the_newest_of_several_runs_is_taken(db, kept):
    kept(1.0, age_s=20)
    kept(2.0, age_s=10)
    kept(3.0, age_s=30)
    assert rates(db) == [2.0, 2.0]


def test_ceilings_measured_on_purpose_come_before_newer_ones_that_a_run_measured_for_itself(db, kept):
    kept(1.0, experiment="ceilings", age_s=100)
    kept(2.0, experiment="ceilings", age_s=50)
    kept(3.0, age_s=0)
    assert rates(db) == [2.0, 2.0]


@pytest.mark.parametrize("status", [one for one in store.ENDED if one != "done"])
def test_a_run_that_did_not_end_well_is_not_believed(db, kept, status):
    kept(1.0, age_s=100)
    kept(2.0, experiment="ceilings", status=status)
    assert rates(db) == [1.0, 1.0]


def test_another_machine_or_device_has_ceilings_of_its_own(db, kept):
    kept(1.0, fingerprint="there")
    assert rates(db) == []
    kept(2.0, age_s=100)
    assert (rates(db), rates(db, "there")) == ([2.0, 2.0], [1.0, 1.0])


def test_a_run_without_ceilings_does_not_hide_those_of_an_older_one(db, kept):
    kept(1.0, age_s=100)
    kept(2.0, detail="kernels")
    assert rates(db) == [1.0, 1.0]
