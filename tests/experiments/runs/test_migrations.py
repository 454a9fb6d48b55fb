"""Databases of older versions are upgraded whole or not at all, backed up, and keep what is in them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, inspect, text

from experiments.runs import database, migrations, schema, store
from tests.experiments.runs.lab_tools import on_both, open_at_once, plain_run
from tests.processes import module_process

STOPS = ["backup", "DELETE FROM alembic_version", "ALTER TABLE", "UPDATE alembic_version", "UPDATE meta"]


def make_schema_1(db: Engine, found: str = "1") -> str:
    """Turns an empty database of today into one that version 0.1 created, with a run in it; returns the run's id."""
    run_id = plain_run(db, owner="ann", title="kept", note="a note", tags="a, b")
    with db.begin() as connection:
        connection.execute(text("ALTER TABLE runs DROP COLUMN imported_by"))
        connection.execute(text("UPDATE meta SET value = :found"), {"found": found})
    db.dispose()
    store.engine.cache_clear()
    return run_id


def schema_of(url: str) -> tuple[str, bool]:
    """The stored number, and whether `imported_by` is there; reads past `store`, which would upgrade."""
    db = create_engine(url)
    with db.connect() as connection:
        found = connection.execute(text("SELECT value FROM meta WHERE name = 'schema'")).scalar_one()
        columns = {column["name"] for column in inspect(connection).get_columns("runs")}
    db.dispose()
    return str(found), "imported_by" in columns


def files_beside(url: str) -> set[str]:
    """The names of all files beside an SQLite database, apart from its own."""
    file = Path(url.removeprefix("sqlite:///"))
    own = {file.name, f"{file.name}-wal", f"{file.name}-shm", f"{file.name}.lock"}
    return {path.name for path in file.parent.glob(f"{file.name}*")} - own


@pytest.fixture
def fresh_engines() -> Iterator[None]:
    """No engine of a test with other settings is used by the next."""
    yield
    store.engine.cache_clear()


def test_the_latest_revision_makes_the_current_schema() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [str(schema.VERSION)]
    assert sorted(int(one.revision) for one in script.walk_revisions()) == list(range(1, schema.VERSION + 1))


@on_both
def test_a_database_of_version_0_1_is_upgraded_in_place(db: Engine, db_url: str) -> None:
    run_id = make_schema_1(db)
    run = store.get_run(store.engine(db_url), run_id)
    assert run is not None
    kept = (run["owner"], run["title"], run["note"], run["tags"], run["imported_by"])
    assert kept == ("ann", "kept", "a note", "a, b", "")
    assert schema_of(db_url) == (str(schema.VERSION), True)


@on_both
def test_an_upgraded_database_has_the_tables_of_a_new_one(db: Engine, db_url: str) -> None:
    make_schema_1(db)
    with store.engine(db_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


@on_both
@pytest.mark.parametrize("stop", STOPS)
def test_an_upgrade_that_is_killed_is_repeated(db: Engine, db_url: str, stop: str) -> None:
    if stop == "backup" and db.dialect.name != "sqlite":
        pytest.skip("PostgreSQL is backed up by its administrator")
    run_id = make_schema_1(db)
    with module_process("tests.experiments.runs.upgrade_and_stop", db_url, stop) as upgrading:
        assert upgrading.stdout is not None
        assert upgrading.stdout.readline() == "stopped\n"
        upgrading.kill()
        upgrading.wait()
    assert schema_of(db_url) == ("1", False)
    assert store.get_run(store.engine(db_url), run_id) is not None
    assert schema_of(db_url) == (str(schema.VERSION), True)
    if db.dialect.name == "sqlite":
        assert files_beside(db_url) == {"runs.db.schema-1.bak"}


def test_the_backup_is_the_database_as_it_was(db: Engine, url: str, tmp_path: Path) -> None:
    run_id = make_schema_1(db)
    store.engine(url)
    backup = f"sqlite:///{tmp_path / 'runs.db.schema-1.bak'}"
    assert schema_of(backup) == ("1", False)
    with closing(sqlite3.connect(tmp_path / "runs.db.schema-1.bak")) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [(run_id,)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_newest_two_backups_are_kept(db: Engine, url: str, tmp_path: Path) -> None:
    make_schema_1(db)
    for number in (0, -7, 10, 9):
        (tmp_path / f"runs.db.schema-{number}.bak").touch()
    (tmp_path / "runs.db.schema-2.bak.txt").touch()
    store.engine(url)
    unrelated = {"runs.db.schema--7.bak", "runs.db.schema-2.bak.txt"}
    assert files_beside(url) == {"runs.db.schema-9.bak", "runs.db.schema-10.bak", *unrelated}


def test_a_current_or_a_new_database_is_not_backed_up(db: Engine, url: str) -> None:
    plain_run(db)
    store.engine.cache_clear()
    store.engine(url)
    assert files_beside(url) == set()


@on_both
def test_several_processes_upgrade_a_database_once(db: Engine, db_url: str) -> None:
    run_id = make_schema_1(db)
    open_at_once(db_url, 4)
    assert store.get_run(store.engine(db_url), run_id) is not None


@pytest.mark.usefixtures("fresh_engines")
class TestRefusals:
    def refusal(self, url: str) -> str:
        with pytest.raises(store.StoreError) as refused:
            store.engine(url)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def test_a_read_only_database_is_one_line_and_unchanged(self, db: Engine, url: str) -> None:
        make_schema_1(db)
        read_only = url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
        assert "attempt to write a readonly database" in self.refusal(read_only)
        assert schema_of(url) == ("1", False)

    def test_a_full_disk_is_one_line_and_the_next_start_repeats_the_upgrade(self, db: Engine, url: str) -> None:
        run_id = make_schema_1(db)

        def no_room(connection: Any, _: object) -> None:
            connection.execute("PRAGMA max_page_count = 1")  # SQLite then keeps the file at its size

        event.listen(Engine, "connect", no_room)
        try:
            assert "cannot be used: database or disk is full" in self.refusal(url)
        finally:
            event.remove(Engine, "connect", no_room)
        assert schema_of(url) == ("1", False)
        assert store.get_run(store.engine(url), run_id) is not None

    def test_a_backup_that_cannot_be_written_stops_the_upgrade(self, db: Engine, url: str, tmp_path: Path) -> None:
        make_schema_1(db)
        (tmp_path / "runs.db.bak.partial").mkdir()
        assert "cannot be upgraded and was left unchanged: " in self.refusal(url)
        assert schema_of(url) == ("1", False)

    def test_a_full_disk_during_the_backup_leaves_no_partial_file(
        self, db: Engine, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_schema_1(db)
        true_connect = sqlite3.connect

        def connect(name: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = true_connect(name, *arguments, **options)
            if str(name).endswith(".partial"):
                connection.execute("PRAGMA page_size = 4096")
                connection.execute("PRAGMA max_page_count = 1")
            return connection

        monkeypatch.setattr(database.sqlite3, "connect", connect)
        said = self.refusal(url)
        assert "no backup could be written to" in said
        assert said.endswith("database or disk is full")
        assert files_beside(url) == set()
        assert schema_of(url) == ("1", False)

    def test_an_upgrade_that_another_process_does_not_finish_is_one_line(
        self, db: Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_schema_1(db)
        monkeypatch.setattr(database, "UPGRADE_TIMEOUT_S", 0.1)
        with FileLock(tmp_path / "runs.db.lock"):
            assert "is being upgraded by another process; try again" in self.refusal(url)

    @pytest.mark.parametrize("found", ["3", "99", "x"])
    def test_a_newer_database_is_refused_and_unchanged(self, db: Engine, url: str, found: str) -> None:
        make_schema_1(db, found)
        assert (
            f"has schema {found}, but this version supports only up to {schema.VERSION}: update tinygrad lab"
            in self.refusal(url)
        )
        assert schema_of(url) == (found, False)
        assert files_beside(url) == set()
