"""`baton migrate` on a database of its own, by real processes."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import EmbeddedPostgres
from tests.cli.commands import BATON, clean_environment, run

NO_VALKEY = "redis://127.0.0.1:9/0"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "home") as running:
        yield running


def stack_on(postgres: EmbeddedPostgres) -> dict[str, str]:
    return {"BATON_DATABASE_URL": postgres.url, "BATON_REDIS_URL": NO_VALKEY}


def revisions(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


def test_an_empty_database_gets_the_newest_schema_and_a_second_run_changes_nothing(postgres: EmbeddedPostgres) -> None:
    first, second = run("migrate", **stack_on(postgres)), run("migrate", **stack_on(postgres))
    assert (first.returncode, first.stdout) == (0, "")
    assert "went from nothing to" in first.stderr
    assert (second.returncode, "already" in second.stderr) == (0, True)
    assert len(revisions(postgres.url)) == 1


async def test_several_at_once_take_turns(postgres: EmbeddedPostgres) -> None:
    environment = clean_environment(**stack_on(postgres))
    processes = [await asyncio.create_subprocess_exec(BATON, "migrate", env=environment) for _ in range(4)]
    assert [await process.wait() for process in processes] == [0, 0, 0, 0]
    assert len(revisions(postgres.url)) == 1


def test_it_waits_for_a_postgres_that_comes_up_later(postgres: EmbeddedPostgres) -> None:
    stack = stack_on(postgres)
    postgres.stop()
    with subprocess.Popen([BATON, "migrate"], env=clean_environment(**stack), stderr=subprocess.PIPE, text=True) as it:
        assert it.stderr is not None
        assert it.stderr.readline().startswith("waiting for Postgres at 127.0.0.1:")
        postgres.start()
        assert "went from nothing to" in it.stderr.read()
    assert it.returncode == 0


def test_it_gives_up_soon_where_a_transaction_is_in_its_way_and_nothing_is_changed(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as other:
        other.execute("CREATE SEQUENCE requests_seq")  # as the migration will, and not committed
        refused = run("migrate", **stack_on(postgres))
        other.rollback()
    assert (refused.returncode, len(refused.stderr.splitlines())) == (75, 1)
    assert "nothing was changed" in refused.stderr
    assert run("migrate", **stack_on(postgres)).returncode == 0


def test_a_wrong_password_is_not_waited_for(postgres: EmbeddedPostgres) -> None:
    wrong = stack_on(postgres) | {"BATON_DATABASE_URL": postgres.url.replace("baton:", "baton:not-")}
    assert run("migrate", **wrong).returncode == 4
