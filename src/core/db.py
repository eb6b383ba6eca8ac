"""Connections to Postgres: how they are opened, bounded and scoped. SQL itself is written beside its table."""

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow
from sqlalchemy import DateTime, MetaData, Text
from sqlalchemy.orm import DeclarativeBase

from core.settings import Settings

UTC_TIME = DateTime(timezone=True)
# Ids compare byte by byte whatever the locale of the database, so that keyset order is the same everywhere.
ID = Text(collation="C")


class Row(DeclarativeBase):
    """What Alembic migrates: one class for each table, named as its rows."""

    type_annotation_map: ClassVar = {str: Text(), datetime: UTC_TIME}
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        }
    )


# Execution finds rows by key only, and a line along the index that has its order. With these its plans cannot flip to a
# scan of all that was ever finished, however wrong the statistics of a busy table are: they may have been taken while
# most of its rows were not committed, and then every index that begins with the tenant seems as good as any other.
_KEYED_PLANS = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "sort")}

# One worker's locks are what others wait for. Whoever waits gives up soon, and does something else; a worker that stops
# in the middle of a batch loses its session. Idleness alone does not show that it stopped: not so inside a pipeline.
_SHORT_WAITS = {"lock_timeout": "1s", "idle_in_transaction_session_timeout": "4s", "transaction_timeout": "10s"}

# A page is read along the index that has its order, and many rows one after the other by their keys. Statistics do not
# know a tenant that grew overnight; Postgres would rather collect all its rows, through a bitmap or not, and sort them.
# So the migrations have none kept of tenant_id: any tenant counts as one of two hundred that share a table.
_ORDERED_PLANS = {"enable_bitmapscan": "off", "enable_seqscan": "off"}


def _connection_options(settings: Settings, *, read_only: bool, worker: bool = False) -> dict[str, Any]:
    """Bound every wait: to connect, for a lock, for a statement, on a cut network (milliseconds in libpq)."""
    timeout = int(settings.database_timeout * 1000)
    server = {
        "statement_timeout": timeout,
        "lock_timeout": timeout,
        "idle_in_transaction_session_timeout": 4 * timeout,
        "default_transaction_read_only": "on" if read_only else "off",
        "timezone": "UTC",
        **(_KEYED_PLANS | _SHORT_WAITS if worker else {}),
        **(_ORDERED_PLANS if read_only else {}),
    }
    return {
        "conninfo": str(settings.database_url),
        "connect_timeout": 2,
        "keepalives_idle": 10,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": timeout,
        "application_name": "baton",
        "options": " ".join(f"-c {name}={value}" for name, value in server.items()),
    }


def connect(settings: Settings, *, read_only: bool = False, worker: bool = False) -> Connection[TupleRow]:
    """Open a connection for a worker or for a command-line call.

    Raises:
        psycopg.OperationalError: Postgres cannot be reached.

    """
    return psycopg.connect(**_connection_options(settings, read_only=read_only, worker=worker), autocommit=True)


async def connect_async(settings: Settings, *, read_only: bool = False) -> AsyncConnection[TupleRow]:
    """Open a connection for an event loop; raises psycopg.OperationalError."""
    options = _connection_options(settings, read_only=read_only)
    options["connect_timeout"] = math.ceil(settings.database_timeout)  # an event loop may be kept busy
    return await AsyncConnection.connect(**options, autocommit=True)


def hang_up(connection: AsyncConnection[Any]) -> None:
    """Break a connection: who waits for it, or uses it next, gets psycopg.OperationalError."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def hang_up_at(deadline: float, connection: AsyncConnection[Any]) -> Iterator[None]:
    """End the connection when the block is not done by then (time of the event loop), and raise TimeoutError.

    Cancelling instead would make psycopg ask the server to stop and wait for it, ten seconds in all: far too long
    where it is the server that does not answer.
    """
    late = asyncio.Event()

    def give_up() -> None:
        late.set()
        hang_up(connection)

    timer = asyncio.get_running_loop().call_at(deadline, give_up)
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
