"""A breaker before Postgres: while a probe of its own gets no answer, nobody else waits for one.

A statement that is slow and a connection that breaks leave it closed: Postgres answers the probe all the same.
"""

import asyncio
import threading
import weakref
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core.db import connect_async, hang_up, hang_up_at
from core.errors import Unavailable
from core.settings import Settings

log = structlog.get_logger(__name__)

# Together a little under two seconds: one pause, one probe without an answer, one connection that cannot be made.
_PAUSE_SECONDS, _PROBE_SECONDS = 0.3, 0.8


class Breaker:
    """Makes the connections of a front end, and hangs up on all of them when Postgres does not answer."""

    def __init__(self, settings: Settings) -> None:
        """Begin closed; `start` begins to probe."""
        self._settings = settings
        self._connecting: set[asyncio.Timeout] = set()
        self._connections: weakref.WeakSet[AsyncConnection[Any]] = weakref.WeakSet()
        self._probe: AsyncConnection[TupleRow] | None = None
        self._stopping = threading.Event()
        self.open = False

    async def start(self) -> None:
        """Begin to probe, in a thread: an event loop that requests keep busy would take its own delay for silence."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="breaker", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Probe no more."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def check(self) -> None:
        """Raise Unavailable while Postgres does not answer."""
        if self.open:
            raise Unavailable

    async def connect(self, deadline: float, *, read_only: bool = False) -> AsyncConnection[TupleRow]:
        """Open a connection by a time of the event loop; it breaks when the breaker opens.

        Raises:
            Unavailable: the breaker is open.
            TimeoutError: the connection was not made in time, or the breaker opened meanwhile.
            psycopg.OperationalError: it was refused.

        """
        self.check()
        async with asyncio.timeout_at(deadline) as patience:
            self._connecting.add(patience)
            try:
                connection = await connect_async(self._settings, read_only=read_only)
            finally:
                self._connecting.discard(patience)
        self._connections.add(connection)
        return connection

    def _run(self) -> None:
        with asyncio.Runner() as probing:
            while not self._stopping.wait(_PAUSE_SECONDS):
                # What fails on a connection may be the connection's fault: only a new one tells.
                answers = (self._probe is not None and probing.run(self._answers())) or probing.run(self._answers())
                self._loop.call_soon_threadsafe(self._tell, answers)
            probing.run(self._disconnect())

    async def _answers(self) -> bool:
        """Return whether Postgres answers in time, over a new connection where there is none."""
        deadline = asyncio.get_running_loop().time() + _PROBE_SECONDS
        try:
            if self._probe is None:
                async with asyncio.timeout_at(deadline):
                    self._probe = await connect_async(self._settings, read_only=True)
            with hang_up_at(deadline, self._probe):
                await self._probe.execute("SELECT 1")
        except Exception as error:  # noqa: BLE001 (whatever it is, it is no answer, and the next probe may get one)
            log.debug("probe_failed", error=repr(error))
            await self._disconnect()
            return False
        return True

    def _tell(self, answers: bool) -> None:  # noqa: FBT001 (call_soon_threadsafe knows no keywords)
        if self.open != answers:
            return
        self.open = not answers
        log.warning("breaker_opened" if self.open else "breaker_closed")
        if self.open:
            self._let_go()

    def _let_go(self) -> None:
        for patience in self._connecting:
            if not patience.expired():
                patience.reschedule(self._loop.time())
        for connection in self._connections:
            hang_up(connection)

    async def _disconnect(self) -> None:
        connection, self._probe = self._probe, None
        if connection is not None:
            await connection.close()
