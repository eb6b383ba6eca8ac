"""`baton migrate`: the database at the newest schema, by one process at a time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from cli.database import address, unreachable
from cli.exits import NotAllowed, TryLater
from cli.stack import ROOT, stack_settings
from core.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

# Says "baton migrate" among the advisory locks of a database; any constant would do.
_LOCK = 0x6261746F6E
_POSTGRES_MAY_TAKE_SECONDS = 30.0
_POLL_SECONDS = 0.2
_IN_THE_WAY = (
    "A transaction of another process holds what a migration needs, and all others would wait behind that migration;"
    " nothing was changed. Run `baton migrate` again, or end the transaction first."
)


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    Waits up to 30 s for Postgres. Safe to run twice at once: the second waits and then finds nothing to do.
    """
    settings = stack_settings()
    before, after = migrate_to_head(settings)
    done = f"was at {after} already" if before == after else f"went from {before or 'nothing'} to {after}"
    click.echo(f"The schema at {address(settings)} {done}.", err=True)


def migrate_to_head(settings: Settings) -> tuple[str | None, str | None]:
    """Run the migrations that are missing and return the revisions before and after.

    Raises:
        TryLater: Postgres did not come up within 30 s, or a transaction held what a migration needs.
        NotAllowed: Postgres refuses the user, the password or the database.

    """
    from alembic import command
    from sqlalchemy.exc import OperationalError

    with _connected(settings) as connection, _alone(connection):
        before = current_revision(connection)
        try:
            command.upgrade(alembic_config(), "head")
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise TryLater(_IN_THE_WAY) from None
            raise
        return before, current_revision(connection)


def alembic_config() -> "Config":
    """Return the configuration that finds the migrations of this checkout or image."""
    from alembic.config import Config

    return Config(ROOT / "alembic.ini")


def head_revision() -> str | None:
    """Return the newest revision that there is a migration to."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def current_revision(connection: Connection[TupleRow]) -> str | None:
    """Return the revision that the database is at; None before the first migration."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _connected(settings: Settings) -> Connection[TupleRow]:
    deadline = time.monotonic() + _POSTGRES_MAY_TAKE_SECONDS
    waiting = False
    while True:
        try:
            return psycopg.connect(str(settings.database_url), connect_timeout=2, autocommit=True)
        except psycopg.OperationalError as error:
            failure = unreachable(settings, error)
            if isinstance(failure, NotAllowed) or time.monotonic() > deadline:
                raise failure from None
        if not waiting:
            click.echo(f"waiting for Postgres at {address(settings)}", err=True)
            waiting = True
        time.sleep(_POLL_SECONDS)


@contextmanager
def _alone(connection: Connection[TupleRow]) -> Iterator[None]:
    """Hold the lock that keeps other migrations out; the end of the connection releases it, too.

    Asked for again and again rather than waited for: a statement that waits holds a snapshot, for which a
    CREATE INDEX CONCURRENTLY of the migration that has the lock would wait in turn.
    """
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
