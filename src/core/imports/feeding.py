"""Feeding: an import keeps a few messages in the bulk lane, and the rest of its rows unsent in Postgres.

So imports of several tenants take turns, and the broker stays small whatever the size of a file. Each step is one
short transaction that holds the row of the import; of two feeders at once the second passes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import structlog
from psycopg import Connection
from psycopg.rows import class_row

from core.publisher import Sendable, messages
from core.queue import oldest_waiting, publish
from core.settings import Settings

log = structlog.get_logger(__name__)

_WITHDRAWN_AT_ONCE = 2_000

_UNFINISHED: LiteralString = "SELECT tenant_id, id FROM imports WHERE finished_at IS NULL ORDER BY id"
# Takes the row of the import, and adds up what batches have told of it since.
_TAKE: LiteralString = """
    WITH taken AS (
        SELECT tenant_id, id FROM imports
        WHERE tenant_id = %s AND id = %s AND finished_at IS NULL FOR UPDATE SKIP LOCKED
    ), told AS (
        DELETE FROM import_tallies t USING taken WHERE (t.tenant_id, t.import_id) = (taken.tenant_id, taken.id)
        RETURNING t.succeeded, t.failed
    )
    UPDATE imports i SET succeeded = i.succeeded + coalesce((SELECT sum(succeeded) FROM told), 0),
        failed = i.failed + coalesce((SELECT sum(failed) FROM told), 0)
    FROM taken WHERE (i.tenant_id, i.id) = (taken.tenant_id, taken.id)
    RETURNING i.tenant_id, i.id, i.state, i.accepted, i.sent, i.succeeded + i.failed + i.canceled AS done,
        i.sent_line, i.marked_at < now() - make_interval(secs => %s) AS marked_long_ago, i.marked_at,
        i.received_at IS NOT NULL AS received, i.touched_at < now() - make_interval(secs => %s) AS abandoned,
        now() AS now
"""
_NEXT: LiteralString = """
    SELECT id, import_line FROM requests
    WHERE tenant_id = %s AND import_id = %s AND import_line > %s AND status = 'queued'
    ORDER BY import_line LIMIT %s
"""
_SENT: LiteralString = "UPDATE imports SET sent = sent + %s, sent_line = %s WHERE tenant_id = %s AND id = %s"
# What was sent before the mark, by a message that is not in the lane any more, is the reconciler's from now on.
_HAND_OVER: LiteralString = """
    WITH lost AS (
        SELECT r.tenant_id, r.id
        FROM imports i JOIN requests r ON r.tenant_id = i.tenant_id AND r.import_id = i.id
        WHERE i.tenant_id = %(tenant_id)s AND i.id = %(id)s AND r.import_line <= i.marked_line
            AND r.status = 'queued' AND r.sent_at IS NULL
        FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE requests r SET sent_at = %(marked_at)s FROM lost WHERE (r.tenant_id, r.id) = (lost.tenant_id, lost.id)
"""
_MARK: LiteralString = "UPDATE imports SET marked_line = sent_line, marked_at = now() WHERE tenant_id = %s AND id = %s"
_WITHDRAW: LiteralString = """
    WITH waiting AS (
        SELECT tenant_id, id FROM requests
        WHERE tenant_id = %s AND import_id = %s AND import_line >= 0 AND status = 'queued'
        ORDER BY import_line LIMIT %s FOR UPDATE SKIP LOCKED
    )
    DELETE FROM requests r USING waiting WHERE (r.tenant_id, r.id) = (waiting.tenant_id, waiting.id)
"""
_WITHDRAWN: LiteralString = "UPDATE imports SET canceled = canceled + %s WHERE tenant_id = %s AND id = %s"
_FINISH: LiteralString = (
    "UPDATE imports SET finished_at = now(), state = %s, error = %s WHERE tenant_id = %s AND id = %s"
)
_ABANDONED = "The upload ended before the file did. Send the file again: what was taken is not taken twice."


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far an import is; `done` of the accepted rows are executed or withdrawn."""

    tenant_id: str
    id: str
    state: str
    accepted: int
    sent: int
    done: int
    sent_line: int
    marked_long_ago: bool
    marked_at: datetime
    received: bool
    abandoned: bool
    now: datetime


def unfinished_imports(connection: Connection[Any]) -> list[tuple[str, str]]:
    """Return tenant and id of every import that is not over, oldest first."""
    return connection.execute(_UNFINISHED).fetchall()


class Feeder:
    """Moves imports on, over one connection in autocommit.

    Every method raises psycopg.Error when the database failed, and one of queue.BROKER_ERRORS when the broker took no
    message; then nothing of its step was done.
    """

    def __init__(self, connection: Connection[Any], settings: Settings) -> None:
        """Take how much of an import may be in flight, and when a message counts as lost."""
        self._connection = connection
        self._settings = settings
        self._window = settings.import_window * settings.execution_batch

    def feed(self, tenant_id: str, import_id: str) -> None:
        """Move one import on: send its next rows, withdraw those of a canceled one, and end it when all are done."""
        while self._step(tenant_id, import_id):
            pass

    def _step(self, tenant_id: str, import_id: str) -> bool:
        """Do what fits into one transaction; return whether there is more to do at once."""
        settings = self._settings
        with self._connection.transaction(), self._connection.cursor(row_factory=class_row(_Progress)) as cursor:
            times = settings.resend_after, settings.import_idle
            progress = cursor.execute(_TAKE, (tenant_id, import_id, *times)).fetchone()
            if progress is None:
                return False
            if progress.state == "canceled":
                return self._withdraw(progress)
            if progress.done == progress.accepted and (progress.received or progress.abandoned):
                state, error = ("completed", None) if progress.received else ("failed", _ABANDONED)
                self._finish(progress, state, error)
            else:
                self._send(progress)
                self._look_for_lost(progress)
        return False

    def _send(self, progress: _Progress) -> None:
        room = self._window - (progress.sent - progress.done)
        if room < self._window // 2 or progress.sent == progress.accepted:  # half a window at once, not row by row
            return
        named = progress.tenant_id, progress.id
        rows = self._connection.execute(_NEXT, (*named, progress.sent_line, room)).fetchall()
        if not rows:
            return
        sendables: list[Sendable] = [("bulk", progress.tenant_id, id_, progress.now) for id_, _ in rows]
        for lane, batch, sent_at in messages(sendables, self._settings.execution_batch):
            publish(lane, batch, sent_at=sent_at)
        self._connection.execute(_SENT, (len(rows), rows[-1][1], *named))

    def _look_for_lost(self, progress: _Progress) -> None:
        if not progress.marked_long_ago:
            return
        waiting = oldest_waiting("bulk")
        if waiting is not None and waiting <= progress.marked_at:
            return
        named = {"tenant_id": progress.tenant_id, "id": progress.id}
        lost = self._connection.execute(_HAND_OVER, {**named, "marked_at": progress.marked_at})
        if lost.rowcount:
            log.warning("import_rows_lost", import_id=progress.id, requests=lost.rowcount)
        self._connection.execute(_MARK, (progress.tenant_id, progress.id))

    def _withdraw(self, progress: _Progress) -> bool:
        named = progress.tenant_id, progress.id
        gone = self._connection.execute(_WITHDRAW, (*named, _WITHDRAWN_AT_ONCE)).rowcount
        self._connection.execute(_WITHDRAWN, (gone, *named))
        if progress.done + gone == progress.accepted:
            self._finish(progress, "canceled", None)
        return gone == _WITHDRAWN_AT_ONCE

    def _finish(self, progress: _Progress, state: str, error: str | None) -> None:
        self._connection.execute(_FINISH, (state, error, progress.tenant_id, progress.id))
