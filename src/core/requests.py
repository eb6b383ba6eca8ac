"""The requests table: receipt, idempotency record, place in line, outbox and status document of every write.

States: `queued` from the commit that makes the 202 true, then `succeeded` or `failed`, which are final.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row
from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, PrimaryKeyConstraint, func, text
from sqlalchemy import Sequence as DbSequence
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row
from core.errors import Problem
from core.ids import sibling_id

RequestStatus = Literal["queued", "succeeded", "failed"]

PLACE_IN_LINE = DbSequence("requests_seq", metadata=Row.metadata)


@dataclass(frozen=True, slots=True)
class Request:
    """What became of a write; `attempts` counts the runs of its command, times are UTC."""

    id: str
    status: RequestStatus
    command: str
    target_type: str
    target_id: str
    accepted_at: datetime
    finished_at: datetime | None
    attempts: int
    error: Problem | None
    seq: int

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self.status != "queued"

    @property
    def task_id(self) -> str | None:
        """Id of the task that the write is about, if it is about one."""
        return self.target_id if self.target_type == "task" else None

    @property
    def audit_event_id(self) -> str | None:
        """Id of the one audit event that finishing the request recorded."""
        return sibling_id("aud", self.id) if self.finished else None


class RequestRow(Row):
    """One row of `requests`.

    `seq` is the place in line. `sent_at` and `sends` are the reconciler's: when a message for it was last
    published (or would have been), and how often the message was sent again. A row of an import has no `sent_at`
    before the reconciler takes it over: its import sends it.
    """

    __tablename__ = "requests"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    seq: Mapped[int] = mapped_column(BigInteger, PLACE_IN_LINE, server_default=PLACE_IN_LINE.next_value())
    lane: Mapped[str]
    command: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    target_type: Mapped[str]
    target_id: Mapped[str] = mapped_column(ID)
    actor_id: Mapped[str] = mapped_column(ID)
    actor_type: Mapped[str]
    actor_name: Mapped[str]
    source: Mapped[str]
    idempotency_key: Mapped[str | None] = mapped_column(ID)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    sends: Mapped[int] = mapped_column(server_default="0")
    accepted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    import_id: Mapped[str | None] = mapped_column(ID)
    import_line: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        CheckConstraint("status IN ('queued', 'succeeded', 'failed')", name="status"),
        CheckConstraint("(finished_at IS NULL) = (status = 'queued')", name="finished_at"),
        CheckConstraint("(error IS NOT NULL) = (status = 'failed')", name="error"),
        CheckConstraint("lane IN ('interactive', 'bulk')", name="lane"),
        CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        Index(
            "requests_by_idempotency_key",
            "tenant_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        # The line of one target, and what the reconciler looks through; both hold queued rows only. They say so in two
        # ways, and each statement in that of the index that serves it: to statistics that saw an empty queue the two
        # would be alike, and a line would be sought through the whole queue.
        Index(
            "requests_queued_by_target",
            "tenant_id",
            "target_type",
            "target_id",
            "seq",
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "requests_queued_by_lane",
            "lane",
            "sent_at",
            postgresql_where=text("finished_at IS NULL AND sent_at IS NOT NULL"),
        ),
        Index(
            "requests_queued_by_import",
            "tenant_id",
            "import_id",
            "import_line",
            postgresql_where=text("import_id IS NOT NULL AND status = 'queued'"),
        ),
        # Finished rows outnumber queued ones by far: statistics and vacuum must follow the queue, not the table.
        {
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": 0.01,
                "autovacuum_analyze_scale_factor": 0.01,
            }
        },
    )


_SELECT = (
    "SELECT id, status, command, target_type, target_id, accepted_at, finished_at, attempts, error, seq"
    " FROM requests WHERE tenant_id = %s AND "
)


def waiting_longer_than(connection: Connection[Any], seconds: float) -> list[tuple[str, int, int]]:
    """Return, by lane, how many requests are queued for longer than that, and the longest wait in seconds."""
    return connection.execute(
        "SELECT lane, count(*), extract(epoch FROM now() - min(accepted_at))::bigint FROM requests"
        " WHERE status = 'queued' AND accepted_at < now() - make_interval(secs => %s) GROUP BY lane",
        (seconds,),
    ).fetchall()


async def _fetch(connection: AsyncConnection[Any], condition: str, *values: object) -> Sequence[Request]:
    async with connection.cursor(row_factory=class_row(Request)) as cursor:
        await cursor.execute(_SELECT + condition, values)
        return await cursor.fetchall()


async def get_requests(
    connection: AsyncConnection[Any], tenant_id: str, request_ids: Sequence[str]
) -> Sequence[Request]:
    """Return those of the requests that the tenant has, in any order."""
    return await _fetch(connection, "id = ANY(%s)", tenant_id, list(request_ids))


async def get_request_by_key(connection: AsyncConnection[Any], tenant_id: str, key: str) -> Request | None:
    """Return the request that was accepted under an idempotency key of the tenant."""
    found = await _fetch(connection, "idempotency_key = %s", tenant_id, key)
    return found[0] if found else None


async def list_pending(connection: AsyncConnection[Any], tenant_id: str, task_id: str) -> Sequence[Request]:
    """Return the queued requests of a task in the order in which they will take effect, 100 at most."""
    return await _fetch(
        connection,
        "target_type = 'task' AND target_id = %s AND status = 'queued' ORDER BY seq LIMIT 100",
        tenant_id,
        task_id,
    )
