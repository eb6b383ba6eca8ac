"""The uploads that a front-end process receives: bounded in number, each over a connection of its own."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

from core.breaker import Breaker
from core.errors import QueueFull, Unavailable
from core.imports.model import Import
from core.imports.queries import cancel_import
from core.imports.receiving import Begun, Upload
from core.queue import BROKER_ERRORS, publish_feed
from core.settings import Settings
from core.tenancy.model import Caller


class Uploads:
    """Receives files."""

    def __init__(self, settings: Settings, breaker: Breaker) -> None:
        """Take how many may come in at a time."""
        self._timeout = settings.database_timeout
        self._breaker = breaker
        self._free = settings.import_uploads

    async def receive(self, caller: Caller, begun: Begun, pieces: AsyncIterable[bytes]) -> None:
        """Take a file, or the rest of one, and have its rows executed.

        Raises:
            QueueFull: as many as this process receives are coming in already.
            Unavailable: Postgres cannot be reached; the upload can go on behind what was committed.
            ValidationFailed, IdempotencyConflict, InvalidStatusTransition, UploadCut: as `Upload.receive`.

        """
        if not self._free:
            raise QueueFull(retry_after=5)
        self._free -= 1
        try:
            async with self._connection() as connection:
                await Upload(connection, caller, begun).receive(pieces)
        finally:
            self._free += 1
            await self._move_on(caller.tenant_id, begun.id)

    async def cancel(self, caller: Caller, import_id: str) -> Import:
        """End an import, and return it as it is now.

        Raises:
            ResourceNotFound, InvalidStatusTransition: as `cancel_import`.
            Unavailable: Postgres cannot be reached.

        """
        async with self._connection() as connection:
            canceled = await cancel_import(connection, caller.tenant_id, import_id)
        await self._move_on(caller.tenant_id, import_id)
        return canceled

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with await self._breaker.connect(deadline) as connection:
                yield connection
        except (TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable from error

    async def _move_on(self, tenant_id: str, import_id: str) -> None:
        with suppress(*BROKER_ERRORS):  # the next round of maintenance comes to it as well
            await asyncio.to_thread(publish_feed, tenant_id, import_id)
