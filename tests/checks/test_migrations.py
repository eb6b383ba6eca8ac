"""The migrations and the models say the same, and each migration can be taken back."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from psycopg import Connection, sql
from pydantic import PostgresDsn

from core.settings import Settings
from tests.servers import alembic_config

_SCRIPTS = ScriptDirectory.from_config(alembic_config())


@pytest.fixture
def schema(connection: Connection[Any], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty schema of its own, in which the migrations of this test run."""
    name = f"migrations_{uuid4().hex}"
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    url = f"{settings.database_url}?{urlencode({'options': f'-c search_path={name}'})}"
    moved = settings.model_copy(update={"database_url": PostgresDsn(url)})
    monkeypatch.setattr("core.settings.load_settings", lambda: moved)
    yield name
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def _objects(connection: Connection[Any], schema: str) -> set[tuple[str, ...]]:
    """Return every column, constraint, index and sequence of a schema, in words."""
    return set(
        connection.execute(
            """
            SELECT 'column', table_name, column_name, data_type, is_nullable, column_default, collation_name
            FROM information_schema.columns WHERE table_schema = %(schema)s
            UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '', '' FROM pg_indexes
            WHERE schemaname = %(schema)s
            UNION ALL SELECT 'sequence', sequencename, '', '', '', '', '' FROM pg_sequences
            WHERE schemaname = %(schema)s
            UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
            FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
            """,
            {"schema": schema},
        )
    )


def test_the_migrations_make_what_the_models_say(schema: str) -> None:
    command.upgrade(alembic_config(), "head")

    command.check(alembic_config())


def test_every_migration_can_be_taken_back_and_made_again(connection: Connection[Any], schema: str) -> None:
    before = [_objects(connection, schema)]
    revisions = [revision.revision for revision in _SCRIPTS.walk_revisions()]
    for revision in reversed(revisions):
        command.upgrade(alembic_config(), revision)
        before.append(_without_version(connection, schema))
    after = before.pop()
    for expected in reversed(before):
        command.downgrade(alembic_config(), "-1")
        assert _without_version(connection, schema) == expected

    command.upgrade(alembic_config(), "head")

    assert _without_version(connection, schema) == after


def _without_version(connection: Connection[Any], schema: str) -> set[tuple[str, ...]]:
    return {each for each in _objects(connection, schema) if not each[1].endswith("alembic_version")}


def test_there_is_one_newest_revision() -> None:
    assert len(_SCRIPTS.get_heads()) == 1


# squawk's rules that do not fit: what counts tries and revisions fits 32 bits, and time-outs are the runner's.
_UNFIT = "prefer-bigint-over-int,require-timeout-settings"


@pytest.mark.parametrize("revision", list(_SCRIPTS.walk_revisions()), ids=lambda revision: revision.revision)
def test_a_migration_takes_no_lock_that_stops_the_service(revision: Script, tmp_path: Path) -> None:
    statements = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": statements})
    with Operations.context(context):
        revision.module.upgrade()
    file = tmp_path / f"{revision.revision}.sql"
    file.write_text(f"BEGIN;\n{statements.getvalue()}\nCOMMIT;\n")

    squawk = Path(sys.executable).with_name("squawk")
    found = subprocess.run(
        [squawk, "--exclude", _UNFIT, "--reporter", "gcc", file], capture_output=True, text=True, check=False
    )

    assert found.returncode == 0, found.stdout
