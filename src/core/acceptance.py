"""Acceptance: one statement that makes requests of submissions, and what each submitter is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import orjson
from psycopg import AsyncConnection

from core import sets
from core.commands import Command
from core.errors import DomainError, IdempotencyConflict
from core.ids import new_id
from core.queue import Lane
from core.requests import RequestRow
from core.tasks.model import Source
from core.tenancy.model import Caller


@dataclass(slots=True)
class Submission:
    """A command that somebody asked for, by which front end, under which idempotency key.

    A row of an import names it and its own line; it is sent when its turn comes, not when it is accepted.
    """

    caller: Caller
    source: Source
    command: Command
    idempotency_key: str | None = None
    lane: Lane = "interactive"
    import_id: str | None = None
    import_line: int | None = None
    request_id: str = field(default_factory=lambda: new_id("req"))
    target_type: str = field(init=False)
    target_id: str = field(init=False)
    payload: str = field(init=False)
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Settle what is made of the command once, so that a commit can be tried again."""
        self.target_type, self.target_id = self.command.target(self.request_id)
        self.payload = self.command.payload()
        self.fingerprint = self.command.fingerprint(self.payload)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an accepted submission is known by; `replayed` when an earlier one under its key was accepted.

    `accepted_at` is the database's time of this commit, None where nothing new was accepted.
    """

    request_id: str
    target_id: str
    accepted_at: datetime | None
    replayed: bool = False


_COLUMNS = (
    "tenant_id",
    "id",
    "lane",
    "command",
    "payload",
    "target_type",
    "target_id",
    "actor_id",
    "actor_type",
    "actor_name",
    "source",
    "idempotency_key",
    "fingerprint",
    "import_id",
    "import_line",
)
_NAMES: LiteralString = ", ".join(_COLUMNS)

# Places in line follow the order of submission; rows go in by key, so that two processes which are sent the same
# keys wait for each other in one order and cannot deadlock.
_ACCEPT: LiteralString = f"""
    WITH submitted AS MATERIALIZED (
        SELECT nextval('requests_seq') AS seq, new.* FROM {sets.recordset(RequestRow, _COLUMNS)}
    )
    INSERT INTO requests (seq, {_NAMES}, sent_at)
    SELECT seq, {_NAMES}, CASE WHEN import_id IS NULL THEN now() END FROM submitted
    ORDER BY tenant_id, idempotency_key, id
    ON CONFLICT DO NOTHING
    RETURNING id, accepted_at
"""
_COPY: LiteralString = f"COPY requests ({_NAMES}, sent_at) FROM STDIN"
# OFFSET 0 keeps the planner to one key after the other: for a thousand it would read all that a tenant ever used.
_FIND: LiteralString = """
    SELECT known.* FROM unnest(%s::text[], %s::text[]) AS named (tenant_id, idempotency_key)
    CROSS JOIN LATERAL (
        SELECT tenant_id, idempotency_key, id, target_id, fingerprint FROM requests
        WHERE tenant_id = named.tenant_id AND idempotency_key = named.idempotency_key OFFSET 0
    ) known
"""


def _row(submission: Submission) -> dict[str, Any]:
    caller, command = submission.caller, submission.command
    return {
        "tenant_id": caller.tenant_id,
        "id": submission.request_id,
        "lane": submission.lane,
        "command": command.kind,
        "payload": orjson.Fragment(submission.payload),
        "target_type": submission.target_type,
        "target_id": submission.target_id,
        "actor_id": caller.actor.id,
        "actor_type": caller.actor.type,
        "actor_name": caller.actor.name,
        "source": submission.source,
        "idempotency_key": submission.idempotency_key,
        "fingerprint": f"\\x{submission.fingerprint.hex()}",
        "import_id": submission.import_id,
        "import_line": submission.import_line,
    }


async def accept(connection: AsyncConnection[Any], submissions: Sequence[Submission]) -> list[Receipt | DomainError]:
    """Commit the requests of some submissions; return for each, in order, its receipt or why it has none.

    Safe to repeat with the same submissions when the connection broke and nobody knows what was committed.
    The connection is in autocommit, so the one INSERT is the whole transaction. Raises psycopg.Error.
    """
    cursor = await connection.execute(_ACCEPT, sets.rows(map(_row, submissions)), binary=True)
    accepted: dict[str, datetime] = dict(await cursor.fetchall())
    refused = [each for each in submissions if each.request_id not in accepted]
    known = await _known(connection, refused) if refused else {}
    return [
        Receipt(each.request_id, each.target_id, accepted[each.request_id])
        if each.request_id in accepted
        else _answer_again(each, known)
        for each in submissions
    ]


async def copy(connection: AsyncConnection[Any], submissions: Iterable[Submission]) -> None:
    """Make requests of rows of imports by COPY, which costs a third of `accept`.

    Raises:
        psycopg.errors.UniqueViolation: an idempotency key is known; nothing was accepted.
        psycopg.Error: the database failed.

    """
    async with connection.cursor() as cursor, cursor.copy(_COPY) as rows:
        for each in submissions:
            row = _row(each) | {"payload": each.payload}
            await rows.write_row([*row.values(), None])


_Known = dict[tuple[str, str], tuple[str, str, bytes]]


async def _known(connection: AsyncConnection[Any], submissions: Sequence[Submission]) -> _Known:
    """Return what is stored under the keys of the submissions: request id, target id, fingerprint."""
    keyed = [(each.caller.tenant_id, each.idempotency_key) for each in submissions if each.idempotency_key]
    if not keyed:
        return {}
    tenants, keys = (list(column) for column in zip(*keyed, strict=True))
    rows = await connection.execute(_FIND, (tenants, keys))
    return {(tenant, key): (id_, target_id, bytes(mark)) for tenant, key, id_, target_id, mark in await rows.fetchall()}


def _answer_again(submission: Submission, known: _Known) -> Receipt | DomainError:
    mine = Receipt(submission.request_id, submission.target_id, None)
    if submission.idempotency_key is None:  # the id itself is taken: an earlier try of this commit went through
        return mine
    request_id, target_id, fingerprint = known[submission.caller.tenant_id, submission.idempotency_key]
    if request_id == submission.request_id:
        return mine
    if fingerprint == submission.fingerprint:
        return Receipt(request_id, target_id, None, replayed=True)
    return IdempotencyConflict("This idempotency key was used before, for another command.")
