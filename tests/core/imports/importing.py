"""An import of a test: its file, its upload, and what becomes of its rows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from core.db import connect_async
from core.ids import new_id
from core.imports.feeding import Feeder
from core.imports.model import Import, ImportFormat
from core.imports.queries import cancel_import, get_begun, get_import, list_rejects
from core.imports.receiving import Begun, Upload, UploadCut
from core.imports.rows import Reject
from core.settings import Settings
from tests.lanes import Lanes
from tests.workspaces import Workspace


def rows(number: int, *, first: int = 0) -> bytes:
    """Return a CSV file with so many rows."""
    return b"title\n" + b"".join(b"Task %d\n" % each for each in range(first, first + number))


@dataclass(frozen=True, slots=True)
class Importing:
    """The imports of one workspace, as a front end and as a worker sees them."""

    settings: Settings
    workspace: Workspace
    lanes: Lanes

    def begin(self, format_: ImportFormat = "csv", *, dry_run: bool = False, key: str | None = None) -> Begun:
        return Begun(id=new_id("imp"), format=format_, dry_run=dry_run, idempotency_key=key)

    def upload(
        self,
        begun: Begun,
        data: bytes,
        *,
        cut: bool = False,
        piece: int = 16_384,
        after_each: Callable[[], object] = lambda: None,
    ) -> Import:
        """Upload a file, or, where it is cut, the beginning of one; return the import as it is then.

        `after_each` is called when a piece is taken, before the next one comes.
        """

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), piece):
                yield data[start : start + piece]
                after_each()
            if cut:
                raise UploadCut

        async def receive(connection: AsyncConnection[Any]) -> None:
            try:
                await Upload(connection, self.workspace.person, begun).receive(pieces())
            except UploadCut:
                assert cut

        self._run(receive)
        return self.get(begun)

    def receive(self, data: bytes, format_: ImportFormat = "csv", **options: Any) -> Import:
        """Upload a whole file as a new import."""
        return self.upload(self.begin(format_, **options), data)

    def resume(self, begun: Begun, data: bytes) -> Import:
        """Upload the rest of a file that was cut."""
        known: list[Begun] = []

        async def find(connection: AsyncConnection[Any]) -> None:
            known.append(await get_begun(connection, self.workspace.tenant_id, begun.id))

        self._run(find)
        return self.upload(known[0], data[known[0].offset :])

    def cancel(self, known: Import) -> None:
        self._run(lambda connection: cancel_import(connection, self.workspace.tenant_id, known.id))

    def get(self, known: Import | Begun) -> Import:
        found: list[Import] = []

        async def find(connection: AsyncConnection[Any]) -> None:
            found.append(await get_import(connection, self.workspace.tenant_id, known.id))

        self._run(find)
        return found[0]

    def committed(self, begun: Begun) -> int:
        """Return how many rows of an import are committed, also while it is uploaded."""
        found = self.workspace.connection.execute("SELECT rows FROM imports WHERE id = %s", [begun.id]).fetchone()
        return int(found[0]) if found else 0

    def rejects(self, known: Import, *, after: int = 0) -> list[Reject]:
        found: list[Reject] = []

        async def find(connection: AsyncConnection[Any]) -> None:
            found.extend(await list_rejects(connection, self.workspace.tenant_id, known.id, after=after))

        self._run(find)
        return found

    def feed(self, known: Import, **settings: Any) -> None:
        """Move an import on, as a worker does."""
        changed = self.settings.model_copy(update=settings)
        Feeder(self.workspace.connection, changed).feed(self.workspace.tenant_id, known.id)

    def in_flight(self) -> list[str]:
        """Return the requests of the workspace that messages in the bulk lane name, in order."""
        return self.lanes.named("bulk", self.workspace.tenant_id)

    def execute(self) -> int:
        """Execute what the bulk lane names of the workspace, as a worker does; return how many messages that took."""
        messages = self.lanes.messages("bulk", self.workspace.tenant_id)
        self.lanes.clear()
        for message in messages:
            self.workspace.execution().run(message.batch)
        return len(messages)

    def finish(self, known: Import) -> Import:
        """Feed and execute until the import is over."""
        for _ in range(1_000):
            self.feed(known)
            if self.get(known).finished_at is not None:
                return self.get(known)
            self.execute()
        raise AssertionError(self.get(known))

    def with_settings(self, **settings: Any) -> "Importing":
        return replace(self, settings=self.settings.model_copy(update=settings))

    def _run(self, work: Callable[[AsyncConnection[Any]], Awaitable[object]]) -> None:
        async def connected() -> None:
            async with await connect_async(self.settings) as connection:
                await work(connection)

        asyncio.run(connected())
