"""How a front end reads: over a few connections, one query at a time on each, and never for longer than its bound."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from core.breaker import Breaker
from core.db import hang_up_at
from core.errors import Unavailable
from core.settings import Settings

T = TypeVar("T")
_Query = Callable[[AsyncConnection[TupleRow]], Awaitable[T]]

_CLOSE_SECONDS = 1.0


class Reader:
    """The read-only connections of a front end: bounded in number and in time."""

    def __init__(self, settings: Settings, breaker: Breaker) -> None:
        """Take the bounds; connections are made when they are needed, and kept."""
        self._timeout = settings.database_timeout
        self._breaker = breaker
        self._most = settings.read_connections
        self._turns = asyncio.Semaphore(self._most)
        self._idle: list[AsyncConnection[TupleRow]] = []

    async def close(self) -> None:
        """Close every connection; those in use have a second to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                for _ in range(self._most):
                    await self._turns.acquire()
        for connection in self._idle:
            await connection.close()

    async def is_reachable(self) -> bool:
        """Return whether Postgres answers a query in time."""
        try:
            await self.run(lambda connection: connection.execute("SELECT 1"))
        except Unavailable:
            return False
        return True

    async def run(self, query: _Query[T]) -> T:
        """Run one query, and again where a connection that was kept turns out to be broken.

        Raises:
            Unavailable: Postgres does not answer in time.

        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
            try:
                return await self._run(query, deadline)
            finally:
                self._turns.release()
        except (TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable from error

    async def _run(self, query: _Query[T], deadline: float) -> T:
        self._breaker.check()
        while self._idle:  # a restart of Postgres breaks all of them
            with contextlib.suppress(_Broken):
                return await self._run_over(self._idle.pop(), query, deadline)
        connection = await self._breaker.connect(deadline, read_only=True)
        return await self._run_over(connection, query, deadline)

    async def _run_over(self, connection: AsyncConnection[TupleRow], query: _Query[T], deadline: float) -> T:
        try:
            with hang_up_at(deadline, connection):
                return await query(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if connection.closed:
                raise _Broken from error
            raise
        finally:
            if connection.info.transaction_status is TransactionStatus.IDLE:
                self._idle.append(connection)
            else:
                await connection.close()


class _Broken(psycopg.OperationalError):
    """The connection broke; another one may serve."""
