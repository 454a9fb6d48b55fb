"""A bundle moves a run exactly; a hostile or damaged one is refused in one line and stores nothing."""

import hashlib
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from experiments.bench.errors import BadInput
from experiments.bench.rows import Row, Sample
from experiments.runs import bundle, frames, run_data, store
from tests.experiments.runs.lab_tools import plain_run, queue_run

Members = dict[str, bytes]
SAMPLES = [Sample("block", 4, [0.25, 1e-9]), Sample("single", 1, [2.0])]
ROWS = [
    Row({"variant": "nap", "number": 1, "wait_s": 0.1 + 0.2}, SAMPLES),
    Row({"variant": "=1+1", "number": None, "latency_ms": 3.0}),
]
FILE = b"\x00\xff nothing to run"
BOMB = 5_000_000
VALUES = [0.1 + 0.2, 5e-324, -0.0, 3.0, 3, 2**60, True, None, "", "\\", "=1+1", 'ü\n,"\r\u2028']
MANY_CELLS = b"[" + b"0," * 5_000_000 + b"0]"
MANY_DIGITS = b'[{"x": ' + b"1" * 5000 + b"}]"
LONG_NAME = b'[{"%s": 1}]' % (b"x" * 65)


@pytest.fixture
def run_id(any_db: Engine, lab: Path) -> str:
    return stored(any_db)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Engine:
    return store.engine(f"sqlite:///{tmp_path / 'elsewhere.db'}")


def stored(db: Engine) -> str:
    run_id = queue_run(db, "steps", rows=2)
    assert store.claim(db, run_id, "tester")
    batch = store.Batch()
    batch.rows = ROWS
    batch.changes = {"environment": {"cpu": "a processor", "load_average": 0.1}, "fingerprint": "abc"}
    batch.details = [("log", [{"number": 0, "said": "a"}]), ("log", [{"number": 1, "said": ""}])]
    batch.artifacts = [("model.bin", hashlib.sha256(FILE).hexdigest(), FILE)]
    store.write(db, run_id, "tester", batch, 0, 0)
    store.finish(db, run_id, "tester", "done", "done")
    store.describe(db, run_id, "a title", "a note\nof two lines", "a, b")
    return run_id


def members_of(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def described(members: Members, change: Callable[[Any], object]) -> Members:
    value = json.loads(members["run.json"])
    change(value)
    return members | {"run.json": json.dumps(value).encode()}


def resealed(members: Members, name: str, content: bytes) -> Members:
    """A table exchanged together with its hash: damage that no checksum shows."""
    digest = hashlib.sha256(content).hexdigest()
    return described(members | {name: content}, lambda value: value["sha256"].update({name: digest}))


def rows_of(members: Members, content: bytes) -> Members:
    return resealed(members, "rows.json", content)


def sample(members: Members, **changes: Any) -> Members:
    """The bundle with one more sample, of its second row unless `changes` say otherwise."""
    added = {"row": 1, "kind": "block", "inner": 1, "seconds": [1.0], **changes}
    records = [*json.loads(members["samples.json"]), added]
    return resealed(members, "samples.json", json.dumps(records).encode())


class TestRoundTrip:
    def test_a_run_arrives_elsewhere_exactly_and_leaves_there_byte_for_byte(
        self, any_db: Engine, elsewhere: Engine, run_id: str
    ) -> None:
        data = bundle.export(any_db, run_id)
        assert bundle.import_run(elsewhere, data) == (run_id, True)
        assert bundle.export(elsewhere, run_id) == data
        here, there = run_data.read(any_db, run_id), run_data.read(elsewhere, run_id)
        assert here is not None
        assert there is not None
        assert there.rows == here.rows == ROWS
        assert there.artifacts == here.artifacts == {"model.bin": FILE}
        assert there.details == here.details == {"log": [{"number": 0, "said": "a"}, {"number": 1, "said": ""}]}
        same = set(bundle.RunRecord.model_fields)
        assert {name: there.run[name] for name in same} == {name: here.run[name] for name in same}
        assert (here.run["imported"], there.run["imported"]) == (False, True)

    def test_the_frames_of_an_imported_run_are_those_of_the_first(
        self, any_db: Engine, elsewhere: Engine, run_id: str
    ) -> None:
        from experiments.registry import find

        bundle.import_run(elsewhere, bundle.export(any_db, run_id))
        for make in (lambda db, run: frames.rows_frame(db, run, find("steps")), frames.samples_frame):
            one, other = (make(db, store.get_run(db, run_id)) for db in (any_db, elsewhere))
            assert one.equals(other)
            assert len(one)

    def test_importing_again_changes_nothing_and_reports_it(
        self, any_db: Engine, elsewhere: Engine, run_id: str
    ) -> None:
        data = bundle.export(any_db, run_id)
        bundle.import_run(elsewhere, data)
        store.describe(elsewhere, run_id, "renamed here", "", "")
        assert bundle.import_run(elsewhere, data) == (run_id, False)
        run = store.get_run(elsewhere, run_id)
        assert run is not None
        assert run["title"] == "renamed here"

    def test_the_same_run_gives_the_same_file(self, any_db: Engine, run_id: str) -> None:
        assert bundle.export(any_db, run_id) == bundle.export(any_db, run_id)
        assert set(members_of(bundle.export(any_db, run_id))) == {
            *("run.json", "rows.json", "samples.json", "details/log.json"),
            f"artifacts/{hashlib.sha256(FILE).hexdigest()}",
        }

    def test_a_run_of_an_experiment_that_is_not_installed_is_imported(self, db: Engine, elsewhere: Engine) -> None:
        run_id = plain_run(db, experiment="unheard_of", status="failed", message="it said no")
        assert bundle.import_run(elsewhere, bundle.export(db, run_id)) == (run_id, True)

    def test_a_run_that_fits_no_bundle_is_refused_with_the_reason(self, db: Engine) -> None:
        run_id = plain_run(db, experiment="unheard_of", status="done", environment={"load": float("nan")})
        with pytest.raises(BadInput, match=f"run: {run_id} cannot be exported: run.json is not valid JSON"):
            bundle.export(db, run_id)

    def test_a_row_that_json_cannot_represent_is_refused_with_the_reason(self, db: Engine) -> None:
        run_id = plain_run(db, experiment="unheard_of")
        assert store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.rows = [Row({"variant": "nap", "latency_ms": float("inf")})]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", "done", "done")
        with pytest.raises(
            BadInput, match=f"run: {run_id} cannot be exported: rows.json: contains an infinity or a NaN"
        ):
            bundle.export(db, run_id)

    def test_title_note_tags_and_owner_arrive_and_the_importing_user_is_stored_beside(
        self, db: Engine, elsewhere: Engine
    ) -> None:
        run_id = plain_run(db, experiment="unheard_of", status="done", owner="ann", title="t", note="n", tags="a, b")
        bundle.import_run(elsewhere, bundle.export(db, run_id), imported_by="bob")
        run = store.get_run(elsewhere, run_id)
        assert run is not None
        assert [run[name] for name in ("owner", "imported_by", "title", "note", "tags")] == [
            "ann",
            "bob",
            "t",
            "n",
            "a, b",
        ]

    @pytest.mark.parametrize(
        "value", [0.1 + 0.2, 5e-324, -0.0, 3.0, 3, 2**60, True, None, "", "\\", "=1+1", 'ü\n,"\r\u2028']
    )
    def test_every_value_arrives_as_it_was(self, db: Engine, elsewhere: Engine, value: Any) -> None:
        run_id = plain_run(db, experiment="unheard_of")
        assert store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.rows, batch.details = [Row({"x": value}), Row({})], [("d", [{"y": value}])]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", "done", "done")
        bundle.import_run(elsewhere, bundle.export(db, run_id))
        [first, second] = store.read_rows(elsewhere, run_id)
        assert (repr(first["x"]), second) == (repr(value), {})
        assert repr(store.read_detail(elsewhere, run_id, "d")[0]["y"]) == repr(value)

    def test_a_long_message_and_timings_in_whole_seconds_arrive(self, db: Engine, elsewhere: Engine) -> None:
        run_id = plain_run(db, experiment="unheard_of")
        assert store.claim(db, run_id, "tester")
        batch = store.Batch()
        batch.rows = [Row({"variant": "nap"}, [Sample("block", 1, [1, 2.5])])]
        store.write(db, run_id, "tester", batch, 0, 0)
        store.finish(db, run_id, "tester", "failed", "kernel source\n" * 20_000)
        data = bundle.export(db, run_id)
        assert bundle.import_run(elsewhere, data) == (run_id, True)
        assert bundle.export(elsewhere, run_id) == data

    def test_only_an_ended_run_can_be_exported(self, db: Engine) -> None:
        with pytest.raises(BadInput, match="there is no run"):
            bundle.export(db, "0123456789ab")
        with pytest.raises(BadInput, match="queued"):
            bundle.export(db, plain_run(db))


def bomb(members: Members, name: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A bundle in which one member claims to be small and unpacks to 5 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for one, content in (members | {name: b"0" * BOMB}).items():
            archive.writestr(one, content)
    data = bytearray(file.getvalue())
    place = data.rindex(name.encode()) - 46  # its entry in the central directory
    assert data[place : place + 4] == b"PK\x01\x02"
    data[place + 24 : place + 28] = struct.pack("<I", 10)
    return bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["run.json", "rows.json", "samples.json", "details/log.json", "artifacts/"])
def test_a_bomb_in_any_member_is_refused_and_not_unpacked(
    db: Engine, elsewhere: Engine, lab: Path, name: str, method: int
) -> None:
    members = members_of(bundle.export(db, stored(db)))
    data = bomb(members, next(one for one in members if one.startswith(name)), method)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="not a complete, ordinary zip file"):
            bundle.import_run(elsewhere, data)
        assert tracemalloc.get_traced_memory()[1] < BOMB / 5
    finally:
        tracemalloc.stop()
    assert store.count_runs(elsewhere) == 0


def longer(members: Members) -> bytes:
    """A stored member that claims one byte more than it has."""
    data = bytearray(zipped(members))
    place = data.rindex(b"details/log.json") - 46
    size = struct.unpack("<I", data[place + 24 : place + 28])[0]
    data[place + 24 : place + 28] = struct.pack("<I", size + 1)
    return bytes(data)


def twice(members: Members) -> bytes:
    file = io.BytesIO(zipped(members))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("rows.json", members["rows.json"])
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[Members], bytes], str]] = {
    "nothing": (lambda m: b"", "not a complete, ordinary zip"),
    "no zip": (lambda m: b"\x89PNG and so on", "not a complete, ordinary zip"),
    "truncated": (lambda m: zipped(m)[:-200], "not a complete, ordinary zip"),
    "a flipped bit": (lambda m: (z := zipped(m))[:60] + bytes([z[60] ^ 8]) + z[61:], "zip"),
    "shorter than it says": (longer, "not a complete, ordinary zip"),
    "cells without end": (
        lambda m: zipped(resealed(m, "rows.json", MANY_CELLS)),
        "more than 4,194,304 cells",
    ),
    "the year 33658": (lambda m: zipped(described(m, lambda v: v["run"].update(created=1e12))), "run.created"),
    "memory without end": (
        lambda m: zipped(described(m, lambda v: v["run"].update(memory_limit_bytes=2**70))),
        "run.memory_limit_bytes",
    ),
    "a number of 65 bits": (
        lambda m: zipped(resealed(m, "rows.json", m["rows.json"].replace(b'"number": 1', b'"number": %d' % 2**64))),
        "column 'number' holds an integer of more than 64 bits",
    ),
    "calls without end": (
        lambda m: zipped(sample(m, inner=99999999999)),
        "invalid number of inner calls or invalid seconds",
    ),
    "too much": (lambda m: zipped(m | {"artifacts/" + "0" * 64: b"0" * (65 * 2**20)}), "at most 67,108,864"),
    "a long run.json": (lambda m: zipped(m | {"run.json": b" " * (5 * 2**20)}), "larger than"),
    "path": (lambda m: zipped(m | {"../rows.json": b""}), "is not allowed in a bundle"),
    "absolute path": (lambda m: zipped(m | {"/absolute/rows.json": b""}), "is not allowed in a bundle"),
    "extra": (lambda m: zipped(m | {"code.py": b""}), "is not allowed in a bundle"),
    "folder in details": (lambda m: zipped(m | {"details/../log.csv": b""}), "is not allowed in a bundle"),
    "twice": (twice, "a member occurs twice"),
    "no run.json": (lambda m: zipped({n: c for n, c in m.items() if n != "run.json"}), "run.json is missing"),
    "no rows": (lambda m: zipped({n: c for n, c in m.items() if n != "rows.json"}), "rows.json is missing"),
    "no detail": (lambda m: zipped({n: c for n, c in m.items() if "log" not in n}), "tables differ from those listed"),
    "no artifact": (
        lambda m: zipped({n: c for n, c in m.items() if "art" not in n}),
        "artifacts differ from those listed",
    ),
    "empty rows": (lambda m: zipped(m | {"rows.json": b""}), "damaged"),
    "empty run.json": (lambda m: zipped(m | {"run.json": b""}), "not valid JSON"),
    "broken JSON": (lambda m: zipped(m | {"run.json": m["run.json"][:-9]}), "not valid JSON"),
    "deep JSON": (lambda m: zipped(m | {"run.json": b"[" * 100_000}), "not valid JSON"),
    "NaN": (lambda m: zipped(described(m, lambda v: v["run"].update(created=float("nan")))), "not valid JSON"),
    "a list": (lambda m: zipped(m | {"run.json": b"[]"}), "not a bundle"),
    "newer": (lambda m: zipped(described(m, lambda v: v.update(version=3))), "newer than the supported"),
    "wrong type": (lambda m: zipped(described(m, lambda v: v["run"].update(created="noon"))), "run.created"),
    "text as spec": (lambda m: zipped(described(m, lambda v: v["run"].update(spec="x"))), "run.spec"),
    "a running run": (lambda m: zipped(described(m, lambda v: v["run"].update(status="running"))), "run.status"),
    "a strange id": (lambda m: zipped(described(m, lambda v: v["run"].update(id="../../etc"))), "run.id"),
    "an unknown field": (lambda m: zipped(described(m, lambda v: v["run"].update(sudo=True))), "run.sudo"),
    "a table of version 1": (lambda m: zipped(m | {"rows.csv": b""}), "tables differ from those listed"),
    "columns, as in version 1": (lambda m: zipped(described(m, lambda v: v.update(tables={}))), "tables: Extra inputs"),
    "version 1 without columns": (lambda m: zipped(described(m, lambda v: v.update(version=1))), "tables: Field"),
    "version 0": (lambda m: zipped(described(m, lambda v: v.update(version=0))), "version"),
    "infinity in run.json": (
        lambda m: zipped(m | {"run.json": m["run.json"].replace(b'"load_average": 0.1', b'"load_average": 1e999')}),
        "run.json is not valid JSON",
    ),
    "infinity in rows": (lambda m: zipped(rows_of(m, b'[{"wait_s": 1e999}]')), "rows.json is not valid JSON"),
    "NaN in rows": (lambda m: zipped(rows_of(m, b'[{"wait_s": NaN}]')), "rows.json is not valid JSON"),
    "a number of 5,000 digits": (
        lambda m: zipped(rows_of(m, MANY_DIGITS)),
        "rows.json is not valid JSON",
    ),
    "rows without end": (lambda m: zipped(rows_of(m, b"[" * 100_000)), "rows.json is not valid JSON"),
    "an object of rows": (lambda m: zipped(rows_of(m, b'{"variant": "nap"}')), "rows.json is not a list"),
    "a row that is a list": (lambda m: zipped(rows_of(m, b"[[1]]")), "rows.json: record 0 is not an object"),
    "a list in a row": (
        lambda m: zipped(rows_of(m, b'[{"x": [1]}]')),
        "rows.json: record 0 contains a list or an object",
    ),
    "a column without a name": (lambda m: zipped(rows_of(m, b'[{"": 1}]')), "rows.json: record 0 is not an object"),
    "a column with a long name": (
        lambda m: zipped(rows_of(m, LONG_NAME)),
        "column names of 1 to 64",
    ),
    "a detail that is no list": (lambda m: zipped(resealed(m, "details/log.json", b"1")), "log.json is not a list"),
    "NUL": (lambda m: zipped(described(m, lambda v: v["run"].update(title="a\0b"))), "NUL"),
    "wrong hash": (lambda m: zipped(m | {n: b"other" for n in m if "art" in n}), "damaged"),
    "wrong kind": (
        lambda m: zipped(resealed(m, "rows.json", m["rows.json"].replace(b'"number": 1', b'"number": "one"'))),
        "column 'number' has kind integer, got 'one'",
    ),
    "not UTF-8": (lambda m: zipped(resealed(m, "rows.json", b"\xff")), "rows.json"),
    "samples of no row": (lambda m: zipped(sample(m, row=7)), "with an unknown row"),
    "samples of row True": (lambda m: zipped(sample(m, row=True)), "with an unknown row"),
    "samples of no kind": (lambda m: zipped(sample(m, kind="x")), "with an unknown row or kind"),
    "samples of a list": (lambda m: zipped(sample(m, kind=["block"])), "with an unknown row or kind"),
    "samples twice": (lambda m: zipped(sample(m, row=0)), "repeated or out of order"),
    "samples without calls": (lambda m: zipped(sample(m, inner=0)), "invalid number of inner calls or invalid seconds"),
    "seconds as text": (lambda m: zipped(sample(m, seconds=["1"])), "invalid number of inner calls or invalid seconds"),
    "seconds as truth": (
        lambda m: zipped(sample(m, seconds=[True])),
        "invalid number of inner calls or invalid seconds",
    ),
    "empty seconds": (lambda m: zipped(sample(m, seconds=[None])), "invalid number of inner calls or invalid seconds"),
    "more seconds than there are": (
        lambda m: zipped(sample(m, seconds=[2**70])),
        "invalid number of inner calls or invalid seconds",
    ),
    "a sample with more": (lambda m: zipped(sample(m, more=1)), "a record whose fields are not row, kind"),
    "a sample that is a number": (
        lambda m: zipped(resealed(m, "samples.json", b"[1]")),
        "a record whose fields are not row",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_whole_bundle_is_refused_in_one_line_and_nothing_is_stored(
    db: Engine, elsewhere: Engine, lab: Path, case: str
) -> None:
    members = members_of(bundle.export(db, stored(db)))
    spoil, said = HOSTILE[case]
    with pytest.raises(BadInput, match=said) as refused:
        bundle.import_run(elsewhere, spoil(members))
    assert len(refused.value.problems) == 1
    assert "\n" not in refused.value.problems[0]
    assert store.count_runs(elsewhere) == 0
    assert bundle.import_run(elsewhere, zipped(members))[1]  # and the whole one still comes in


def test_a_larger_bundle_comes_in_where_the_limit_is_raised(db: Engine, elsewhere: Engine, lab: Path) -> None:
    data = bundle.export(db, stored(db))
    with pytest.raises(BadInput, match="at most 100 are allowed"):
        bundle.import_run(elsewhere, data, max_bytes=100)
    assert bundle.import_run(elsewhere, data, max_bytes=100_000)[1]
