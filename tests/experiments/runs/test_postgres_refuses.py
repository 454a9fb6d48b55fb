"""PostgreSQL away, closed to writing, not ours to write, of a newer version: one line each, as for SQLite."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url

from experiments.runs import schema, store
from tests.experiments.runs.lab_tools import POSTGRES, opened, plain_run

pytestmark = pytest.mark.skipif(not POSTGRES, reason="TINYLAB_TEST_POSTGRES names no database")


@pytest.fixture
def postgres() -> Iterator[Engine]:
    """A database whose tables are there, and gone after the test."""
    with opened("postgresql", "") as made:
        yield made


def refused(url: str) -> str:
    with pytest.raises(store.StoreError) as said:
        plain_run(store.engine(url))
    assert "\n" not in str(said.value)
    return str(said.value)


def with_options(options: str) -> str:
    made = make_url(POSTGRES).update_query_dict({"options": options})
    return made.render_as_string(hide_password=False)


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    away = make_url(POSTGRES).set(port=1, password="secret").render_as_string(hide_password=False)  # noqa: S106
    said = refused(away)
    assert "cannot be used: connection failed" in said
    assert "secret" not in said


@pytest.mark.usefixtures("postgres")
def test_a_database_that_is_read_only_still_shows_its_runs() -> None:
    said = refused(with_options("-c default_transaction_read_only=on"))
    assert "read-only transaction" in said


def test_a_role_without_write_privileges_is_refused_with_the_reason(postgres: Engine) -> None:
    with postgres.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS tinylab_reader")
        connection.exec_driver_sql("CREATE ROLE tinylab_reader")
    try:
        assert "permission denied for table" in refused(with_options("-c role=tinylab_reader"))
    finally:
        with postgres.begin() as connection:
            connection.exec_driver_sql("DROP ROLE tinylab_reader")


def test_a_database_of_a_newer_version_is_refused(postgres: Engine) -> None:
    with postgres.begin() as connection:
        connection.execute(schema.meta.update().values(value="99"))
    store.engine.cache_clear()
    assert f"schema 99, but this version supports only up to {schema.VERSION}: update tinygrad lab" in refused(POSTGRES)


def test_a_value_that_does_not_fit_its_column_is_one_line(postgres: Engine) -> None:
    with pytest.raises(store.StoreError, match="value too long for type character varying"):
        plain_run(postgres, device="x" * 100)


def test_a_server_that_dropped_its_connections_is_connected_to_again(postgres: Engine) -> None:
    run_id = plain_run(postgres)
    administrator = create_engine(POSTGRES)
    with administrator.begin() as connection:
        mine = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        connection.exec_driver_sql(f"{mine} and pid <> pg_backend_pid()")
    administrator.dispose()
    assert store.claim(postgres, run_id, "one")
