"""Receiving: the rows of an upload become requests, a chunk and its place in the file in one transaction.

What is committed is never read again: an upload that was cut goes on at the byte behind the last chunk.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection

from core.acceptance import Receipt, accept, copy
from core.errors import (
    DomainError,
    FieldError,
    IdempotencyConflict,
    InvalidStatusTransition,
    Unavailable,
    ValidationFailed,
)
from core.imports.model import ImportFormat
from core.imports.records import CsvReader, NdjsonReader, RecordReader
from core.imports.rows import COLUMNS, KEY, REQUIRED, Reject, Row, RowReader
from core.tenancy.model import Caller

# A transaction takes what has come once it is so many rows, or bytes, or seconds.
_CHUNK = 1_000
_CHUNK_BYTES = 1_048_576
_LONGEST_WAIT = 5.0
_SLICE = 16_384  # bytes that are read at once: two milliseconds, in which the event loop does nothing else

_CREATE: LiteralString = """
    INSERT INTO imports (tenant_id, id, idempotency_key, format, dry_run, actor_id, actor_type, actor_name)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_ADVANCE: LiteralString = """
    UPDATE imports SET bytes_received = %(offset)s, lines = %(lines)s, columns = %(columns)s, touched_at = now(),
        rows = rows + %(rows)s, rejected = rejected + %(rejected)s,
        replayed = replayed + %(replayed)s, accepted = accepted + %(accepted)s,
        received_at = CASE WHEN %(last)s THEN now() END,
        finished_at = CASE WHEN %(last)s AND accepted + %(accepted)s = 0 THEN now() END,
        state = CASE WHEN NOT %(last)s THEN state WHEN accepted + %(accepted)s = 0 THEN 'completed' ELSE 'running' END
    WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'receiving' AND bytes_received = %(begun_at)s
"""
_REJECT: LiteralString = "COPY import_rejects (tenant_id, import_id, line, values, field, error) FROM STDIN"
_STATE: LiteralString = "SELECT state, bytes_received FROM imports WHERE tenant_id = %s AND id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An import as far as it is committed: where its file goes on, and the columns if its header was read."""

    id: str
    format: ImportFormat
    dry_run: bool
    idempotency_key: str | None = None
    columns: Sequence[str] | None = None
    offset: int = 0
    lines: int = 0

    def reader(self) -> RecordReader:
        """Return what reads the rest of the file."""
        if self.format == "ndjson":
            return NdjsonReader(offset=self.offset, lines=self.lines)
        return CsvReader(COLUMNS, REQUIRED, columns=self.columns, offset=self.offset, lines=self.lines)


class UploadCut(Unavailable):
    """The client left, or fell silent, before the end of the file."""

    def __init__(self) -> None:
        """Say how to go on."""
        super().__init__("The upload ended before the file did. Go on with it where `bytes_received` says.")


class Upload:
    """One upload of a file, or of the rest of one, over a connection of its own in autocommit."""

    def __init__(self, connection: AsyncConnection[Any], caller: Caller, begun: Begun) -> None:
        """Go on with an import; one of which no byte is committed is new, and stored with its first rows."""
        self._connection = connection
        self._caller = caller
        self._begun = begun
        self._reader = begun.reader()
        self._rows = RowReader(caller, begun.id)
        self._waiting: list[Row | Reject] = []
        self._committed = begun.offset
        self._committed_at = time.monotonic()

    async def receive(self, pieces: AsyncIterable[bytes]) -> None:
        """Take the file; return when all of it is committed.

        Raises:
            ValidationFailed: the file is not what it should be; nothing of it was taken. Or another upload of the
                same import is under way.
            IdempotencyConflict: another upload under the same key was first.
            InvalidStatusTransition: the import was canceled meanwhile.
            UploadCut: the file did not arrive whole; what did is committed.
            psycopg.Error: the database failed; what was committed stays, and the upload can go on behind it.

        """
        try:
            async for piece in pieces:
                for start in range(0, len(piece), _SLICE):
                    await self._take(piece[start : start + _SLICE])
        except UploadCut:
            if self._waiting:
                await self._commit(last=False)
            raise
        self._waiting += map(self._rows.read, self._reader.end())
        await self._commit(last=True)

    async def _take(self, piece: bytes) -> None:
        self._waiting += map(self._rows.read, self._reader.feed(piece))
        if self._is_due():
            await self._commit(last=False)
        else:
            await asyncio.sleep(0)

    def _is_due(self) -> bool:
        """Tell whether to commit what has come; what comes first at once, so that the import is seen."""
        if not self._committed:
            return self._reader.offset > 0
        large = len(self._waiting) >= _CHUNK or self._reader.offset - self._committed >= _CHUNK_BYTES
        return large or time.monotonic() - self._committed_at > _LONGEST_WAIT

    async def _commit(self, *, last: bool) -> None:
        rows, self._waiting = self._waiting, []
        valid = [row for row in rows if isinstance(row, Row)]
        rejects = [row for row in rows if isinstance(row, Reject)]
        replayed = 0
        async with self._connection.transaction():
            if not self._committed:
                await self._create()
            if valid and not self._begun.dry_run:
                replayed, conflicts = await self._accept(valid)
                rejects += conflicts
            await self._store(rejects)
            accepted = 0 if self._begun.dry_run else len(rows) - len(rejects) - replayed
            counts = {"rows": len(rows), "rejected": len(rejects), "replayed": replayed, "accepted": accepted}
            await self._advance(counts, last=last)
        self._committed, self._committed_at = self._reader.offset, time.monotonic()

    async def _create(self) -> None:
        begun, actor = self._begun, self._caller.actor
        values = (self._caller.tenant_id, begun.id, begun.idempotency_key, begun.format, begun.dry_run)
        try:
            await self._connection.execute(_CREATE, (*values, actor.id, actor.type, actor.name))
        except psycopg.errors.UniqueViolation as error:
            message = "Another upload under this idempotency key has begun; look it up and go on with that one."
            raise IdempotencyConflict(message) from error

    async def _accept(self, rows: Sequence[Row]) -> tuple[int, list[Reject]]:
        """Make requests of rows; return how many were accepted before, and those whose key is another row's."""
        submissions = [row.submission for row in rows]
        try:
            async with self._connection.transaction():
                await copy(self._connection, submissions)
        except psycopg.errors.UniqueViolation:  # some are known: the slower way finds out which
            answers = await accept(self._connection, submissions)
        else:
            return 0, []
        replayed = sum(isinstance(answer, Receipt) and answer.replayed for answer in answers)
        return replayed, [
            Reject(row.submission.import_line or 0, row.values, KEY, answer.detail)
            for row, answer in zip(rows, answers, strict=True)
            if isinstance(answer, DomainError)
        ]

    async def _store(self, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        async with self._connection.cursor() as cursor, cursor.copy(_REJECT) as rows:
            for each in rejects:
                await rows.write_row((self._caller.tenant_id, self._begun.id, *each.stored()))

    async def _advance(self, counts: dict[str, int], *, last: bool) -> None:
        reader = self._reader
        moved = await self._connection.execute(
            _ADVANCE,
            {
                "tenant_id": self._caller.tenant_id,
                "id": self._begun.id,
                "begun_at": self._committed,
                "offset": reader.offset,
                "lines": reader.lines,
                "columns": reader.columns if isinstance(reader, CsvReader) else None,
                "last": last,
                **counts,
            },
        )
        if moved.rowcount == 0:
            await self._refuse()

    async def _refuse(self) -> None:
        """Say why the import did not move on."""
        found = await self._connection.execute(_STATE, (self._caller.tenant_id, self._begun.id))
        state, offset = await found.fetchone() or ("failed", 0)
        if state != "receiving":
            message = f"The import is {state}, and takes no more rows."
            raise InvalidStatusTransition(message, from_status=state, to_status="receiving")
        raise wrong_offset(offset)


def wrong_offset(offset: int) -> ValidationFailed:
    """Say where the upload of an import goes on."""
    return ValidationFailed([FieldError("Upload-Offset", f"The import goes on at byte {offset}")])
