"""The connection through which commands make and list what only an operator may."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from cli.exits import Failure, NotAllowed, TryLater
from cli.stack import stack_settings
from core.db import connect
from core.settings import Settings

# Said again in our own words.
_WHERE = re.compile(r'(connection failed: )?(connection to server at "[^"]*", port \d+ failed: )?')
_REFUSED = ("authentication failed", "no password supplied", "does not exist")


@contextmanager
def database() -> Iterator[Connection[TupleRow]]:
    """Open a connection to the stack's Postgres, and commit what is done through it at the end.

    Raises:
        TryLater: Postgres cannot be reached.
        NotAllowed: Postgres refuses the user, the password or the database.
        Failure: the settings are wrong, or the schema is not there yet.

    """
    settings = stack_settings()
    try:
        with connect(settings) as connection, connection.transaction():
            yield connection
    except psycopg.errors.UndefinedTable:
        raise Failure("The database has no schema yet. Run `baton migrate` first.") from None
    except psycopg.OperationalError as error:
        raise unreachable(settings, error) from None


def unreachable(settings: Settings, error: psycopg.OperationalError) -> Failure:
    """Say in a sentence why Postgres is of no use; the URL's password is not repeated."""
    reason = _WHERE.sub("", first_line(error))
    if any(words in reason for words in _REFUSED):
        return NotAllowed(f"Postgres at {address(settings)} refuses BATON_DATABASE_URL: {reason}")
    return TryLater(f"Postgres at {address(settings)} cannot be reached: {reason}")


def address(settings: Settings) -> str:
    """Return host and port of Postgres, of each one where there are several."""
    hosts = settings.database_url.hosts()
    return ", ".join(f"{host['host']}:{host['port'] or 5432}" for host in hosts)


def first_line(error: BaseException) -> str:
    """Return what an error says before it goes into details, without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
