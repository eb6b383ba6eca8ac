"""The worker's side of the requests table: lock what is queued, finish it, or put it off."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from core import sets
from core.db import connect
from core.errors import Problem
from core.queue import Batch
from core.records import Target
from core.requests import RequestRow
from core.settings import Settings
from core.tasks.model import Source
from core.tenancy.model import ActorType


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request that this transaction has locked."""

    tenant_id: str
    id: str
    command: str
    payload: dict[str, Any]
    target_type: str
    target_id: str
    actor_id: str
    actor_type: ActorType
    actor_name: str
    source: Source
    attempts: int
    import_id: str | None = None

    @property
    def target(self) -> Target:
        """What the request is about."""
        return Target(self.tenant_id, self.target_type, self.target_id)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a request ends; `error` is its problem document when it failed."""

    tenant_id: str
    id: str
    finished_at: datetime
    error: Problem | None


_FIELDS: LiteralString = ", ".join(f"r.{column}" for column in QueuedRequest.__dataclass_fields__)

# All of the line of every target that is named, whoever sent the message; a request that another worker finished
# while this one waited for its lock has an end, and falls out.
#
# The form leaves the planner one way, since the statistics of a queue are never true: by the primary key from the ids
# to their targets, by the partial index along each one's line, by the primary key to the rows. OFFSET 0 keeps the first
# step as it stands. "NOT IN" says "queued" without offering either index of the queue.
_LOCK: LiteralString = f"""
    SELECT {_FIELDS} FROM (
        SELECT line.tenant_id, line.id, line.seq FROM (
            SELECT DISTINCT n.tenant_id, n.target_type, n.target_id
            FROM unnest(%(tenants)s::text[], %(ids)s::text[]) AS named (tenant_id, id)
            CROSS JOIN LATERAL (
                SELECT * FROM requests WHERE tenant_id = named.tenant_id AND id = named.id OFFSET 0
            ) n
            WHERE n.status NOT IN ('succeeded', 'failed')
        ) target
        CROSS JOIN LATERAL (
            SELECT tenant_id, id, seq FROM requests
            WHERE tenant_id = target.tenant_id AND target_type = target.target_type AND target_id = target.target_id
                AND status = 'queued'
            ORDER BY seq LIMIT %(limit)s
        ) line
        ORDER BY line.seq LIMIT %(limit)s
    ) first CROSS JOIN LATERAL (
        SELECT * FROM requests
        WHERE tenant_id = first.tenant_id AND id = first.id AND status NOT IN ('succeeded', 'failed') FOR UPDATE
    ) r
    ORDER BY first.seq
"""
# Passes over what others are executing: waiting for it here, out of line, could be a deadlock.
_PUT_OFF: LiteralString = """
    WITH waiting AS (
        SELECT tenant_id, id
        FROM unnest(%(tenants)s::text[], %(ids)s::text[]) AS named (tenant_id, id)
        JOIN requests r USING (tenant_id, id)
        WHERE r.status NOT IN ('succeeded', 'failed') FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE requests r SET sent_at = now() FROM waiting WHERE (r.tenant_id, r.id) = (waiting.tenant_id, waiting.id)
    RETURNING r.tenant_id, r.id, r.seq, r.sent_at
"""
_FINISH: LiteralString = f"""
    UPDATE requests r SET status = CASE WHEN new.error IS NULL THEN 'succeeded' ELSE 'failed' END,
        finished_at = new.finished_at, error = new.error, attempts = r.attempts + %(runs)s
    FROM {sets.recordset(RequestRow, ("tenant_id", "id", "finished_at", "error"))}
    WHERE (r.tenant_id, r.id) = (new.tenant_id, new.id)
"""
# Of the transaction, not of the session, so that a pooler may stand between. Two targets may share a hash, and a turn.
_TAKE_TURN: LiteralString = """
    SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', r.tenant_id, r.target_type, r.target_id), 0))
    FROM unnest(%(tenants)s::text[], %(ids)s::text[]) AS named (tenant_id, id)
    JOIN requests r USING (tenant_id, id)
"""
_COUNT_RUN: LiteralString = """
    UPDATE requests r SET attempts = r.attempts + %s, sent_at = now()
    FROM unnest(%s::text[], %s::text[]) AS named (tenant_id, id)
    WHERE (r.tenant_id, r.id) = (named.tenant_id, named.id)
"""


def _pairs(batch: Batch) -> tuple[list[str], list[str]]:
    pairs = [(tenant_id, id_) for tenant_id, ids in batch.items() for id_ in ids]
    return [tenant_id for tenant_id, _ in pairs], [id_ for _, id_ in pairs]


def lock_queued(connection: Connection[Any], batch: Batch, limit: int) -> list[QueuedRequest]:
    """Lock the first `limit` queued requests of the targets that the batch touches, in the order of their places."""
    with connection.cursor(row_factory=class_row(QueuedRequest)) as cursor:
        tenants, ids = _pairs(batch)
        return cursor.execute(_LOCK, {"tenants": tenants, "ids": ids, "limit": limit}).fetchall()


def put_off(connection: Connection[Any], batch: Batch) -> tuple[Batch, datetime | None]:
    """Return what of a batch is queued and nobody executes, and when the message that carries it on counts as sent.

    The requests are given that time, or the reconciler would take them for lost. Asks nothing for an empty batch.
    """
    if not batch:
        return {}, None
    tenants, ids = _pairs(batch)
    rows = connection.execute(_PUT_OFF, {"tenants": tenants, "ids": ids}).fetchall()
    left: dict[str, list[str]] = {}
    for tenant_id, id_, *_ in sorted(rows, key=itemgetter(2)):
        left.setdefault(tenant_id, []).append(id_)
    return left, rows[0][3] if rows else None


@contextmanager
def turn(settings: Settings, batch: Batch) -> Iterator[None]:
    """Hold the turn of the one target that a batch names, so that its suspects are counted and run one after the other.

    It is a connection's own, and ends with it: with the block, with the worker, or where this one stops for long.

    Raises:
        psycopg.errors.LockNotAvailable: other workers have had it for too long.
        psycopg.Error: the database failed.

    """
    with closing(connect(settings, worker=True)) as connection:
        tenants, ids = _pairs(batch)
        connection.execute("BEGIN")
        connection.execute(_TAKE_TURN, {"tenants": tenants, "ids": ids})
        yield


def finish_requests(connection: Connection[Any], finishes: Sequence[Finish], *, runs: int) -> None:
    """Write the final status of requests by one statement, and add `runs` to their attempts."""
    connection.execute(_FINISH, {**sets.rows(finishes), "runs": runs})


def count_runs(connection: Connection[Any], requests: Sequence[QueuedRequest], runs: int) -> None:
    """Add `runs` to the attempts of requests that stay queued; the reconciler sends them again after its delay."""
    tenants, ids = [each.tenant_id for each in requests], [each.id for each in requests]
    connection.execute(_COUNT_RUN, (runs, tenants, ids))
