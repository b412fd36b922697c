"""Migrations on every engine: what was at work with an older schema goes on, and what was kept stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, inspect

from pusher.problems import BadInput
from pusher.store import open_store, opening
from tests.contract.ledger_contract import add

_OF_AN_OLDER_PUSHER = (
    "INSERT INTO lockout (account, standing, changed_at) VALUES ('svc', '{\"count\": 7}', '2026-03-01T12:00:00+00:00') "
    "ON CONFLICT (account) DO UPDATE SET standing = excluded.standing"
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/pusher.sqlite"
    return str(request.getfixturevalue("empty_database"))


@pytest.fixture
def older(url: str) -> Iterator[Engine]:
    """As a process of an older version is connected to it."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    yield engine
    engine.dispose()


def migrate(engine: Engine, revision: str) -> None:
    """To what the version of that schema left."""
    config = Config()
    config.set_main_option("script_location", str(opening._MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


async def test_an_older_pusher_at_work_goes_on_counting_while_a_newer_one_comes(url: str, older: Engine) -> None:
    migrate(older, "0004")
    with older.begin() as connection:
        connection.exec_driver_sql(_OF_AN_OLDER_PUSHER)
    store = open_store(url, upgrade=True)
    assert await store.ledger.change("svc", add) == 8
    with older.begin() as connection:
        connection.exec_driver_sql(_OF_AN_OLDER_PUSHER)
    assert store.ledger.read("svc") == {"count": 7}
    store.close()


@pytest.mark.parametrize("schema", ["0005", "0006", "0007"])
async def test_a_store_whose_lockout_column_was_renamed_is_opened_with_what_it_counts(
    url: str, older: Engine, schema: str
) -> None:
    """As 0005 did before it was released: with its name of then, no older pusher finds it."""
    migrate(older, schema)
    with older.begin() as connection:
        connection.exec_driver_sql(_OF_AN_OLDER_PUSHER)
        connection.exec_driver_sql("ALTER TABLE lockout RENAME COLUMN standing TO state")
    store = open_store(url, upgrade=True)
    assert await store.ledger.change("svc", add) == 8
    store.close()
    assert [column["name"] for column in inspect(older).get_columns("lockout")] == ["account", "standing", "changed_at"]


def test_a_file_of_an_older_pusher_is_opened_by_whoever_comes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/pusher.sqlite"
    engine = create_engine(url)
    migrate(engine, "0010")
    engine.dispose()
    open_store(url).close()
    assert opening.schema_of(url) == opening.HEAD


@pytest.mark.process
def test_a_servers_store_is_upgraded_on_purpose_alone(empty_database: str) -> None:
    assert opening.schema_of(empty_database) is None
    engine = create_engine(empty_database.replace("postgresql:", "postgresql+psycopg:"))
    migrate(engine, "0010")
    with pytest.raises(BadInput) as told:
        open_store(empty_database)
    assert "was written by an older pusher (schema 0010); expected " in told.value.sentence
    assert f"{opening.HEAD}: pusher store upgrade --store " in told.value.sentence
    assert opening.schema_of(empty_database) == "0010", "nothing was changed"
    open_store(empty_database, upgrade=True).close()
    open_store(empty_database).close()
    assert opening.schema_of(empty_database) == opening.HEAD
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    for upgrade in (False, True):
        with pytest.raises(BadInput, match="was written by a newer pusher"):
            open_store(empty_database, upgrade=upgrade)
