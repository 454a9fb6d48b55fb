"""A database that cannot be used is reported in one line with its name, and never overwritten."""

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from experiments.runs import schema, store
from tests.experiments.runs.lab_tools import plain_run


def database(path: Path) -> str:
    return f"sqlite:///{path}"


def refused(url: str) -> str:
    with pytest.raises(store.StoreError) as said:
        store.list_runs(store.engine(url))
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(content := os.urandom(5000))
    assert str(path) in refused(database(path))
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["broken.db"]


def test_a_database_with_broken_pages_is_refused_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    db = store.engine(database(path))
    for _ in range(200):
        plain_run(db, note="x" * 200)
    db.dispose()  # the last connection brings the write-ahead log home
    store.engine.cache_clear()
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    content[size * 3 :] = b"\xff" * (len(content) - size * 3)
    path.write_bytes(content)
    said = refused(database(path))
    assert str(path) in said
    assert "malformed" in said
    assert path.read_bytes() == content


def test_a_database_of_a_newer_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table meta (name text primary key, value text)")
        connection.execute("insert into meta values ('schema', '99')")
    connection.close()
    assert f"schema 99, but this version supports only up to {schema.VERSION}: update tinygrad lab" in refused(
        database(path)
    )
    with sqlite3.connect(path) as connection:
        assert connection.execute("select name from sqlite_master where type = 'table'").fetchall() == [("meta",)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("garbage", "TINYLAB_DATABASE: not understood"),
        ("sqlite:////no/such/folder/runs.db", "/no/such/folder/runs.db cannot be used: unable to open"),
        ("nosuchdialect://user:secret@host/name", "TINYLAB_DATABASE: not understood"),
        ("postgresql+nosuchdriver://user:secret@host/name", "TINYLAB_DATABASE: not understood"),
    ],
)
def test_an_unusable_url_is_reported_without_its_password(url: str, said: str) -> None:
    line = refused(url)
    assert said in line
    assert "secret" not in line


def test_a_failed_transaction_leaves_the_connection_usable(url: str) -> None:
    db = store.engine(url)
    with pytest.raises(store.StoreError, match="no such table"), db.begin() as connection:
        connection.execute(text("select * from nowhere"))
    run_id = plain_run(db)
    assert store.get_run(db, run_id) is not None
