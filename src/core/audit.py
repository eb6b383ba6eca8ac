"""The audit trail: one event for each finished write request, appended in the request's own transaction.

An event shares the suffix of its request's id, so that the primary key itself keeps a request from having two.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString

from psycopg import AsyncConnection, Connection
from pydantic import Field
from sqlalchemy import BigInteger, CheckConstraint, Index, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core import sets
from core.db import ID, Row
from core.fields import NOT_NULL, Identifier, Instant
from core.paging import Keyset, Listing, Page, PageArguments
from core.requests import PLACE_IN_LINE
from core.tasks.model import Source
from core.tenancy.model import ActorType

Outcome = Literal["applied", "unchanged", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What one request did, or why it did nothing; times are UTC.

    `seq` is its place in the trail, which it gets when it is appended: the events of one task are numbered in the
    order in which they took effect. That of their requests' places in line is another one where front ends commit
    at the same time.
    """

    tenant_id: str
    id: str
    seq: int | None = None
    occurred_at: datetime
    action: str
    outcome: Outcome
    actor_id: str
    actor_type: ActorType
    actor_name: str
    source: Source
    target_type: str
    target_id: str
    previous_status: str | None
    new_status: str | None
    requested_status: str | None
    linked_resource_type: str | None
    linked_resource_id: str | None
    request_id: str
    error: dict[str, Any] | None

    @property
    def task_id(self) -> str | None:
        """Id of the task that the request was about, if it was about one."""
        return self.target_id if self.target_type == "task" else None


_COLUMNS = tuple(AuditEvent.__dataclass_fields__)


class AuditEventRow(Row):
    """One row of `audit_events`; never updated, never deleted by the service."""

    __tablename__ = "audit_events"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime]
    action: Mapped[str]
    outcome: Mapped[str]
    actor_id: Mapped[str] = mapped_column(ID)
    actor_type: Mapped[str]
    actor_name: Mapped[str]
    source: Mapped[str]
    target_type: Mapped[str]
    target_id: Mapped[str] = mapped_column(ID)
    previous_status: Mapped[str | None]
    new_status: Mapped[str | None]
    requested_status: Mapped[str | None]
    linked_resource_type: Mapped[str | None]
    linked_resource_id: Mapped[str | None] = mapped_column(ID)
    request_id: Mapped[str] = mapped_column(ID)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        CheckConstraint("outcome IN ('applied', 'unchanged', 'failed')", name="outcome"),
        CheckConstraint("(error IS NOT NULL) = (outcome = 'failed')", name="error"),
        Index("audit_events_by_time", "tenant_id", "occurred_at", "seq"),
        Index("audit_events_by_target", "tenant_id", "target_type", "target_id", "seq"),
    )


_GIVEN = [column for column in _COLUMNS if column != "seq"]
_APPEND: LiteralString = (
    f"INSERT INTO audit_events (seq, {', '.join(_GIVEN)})"
    f" SELECT nextval('{PLACE_IN_LINE.name}'), {', '.join(_GIVEN)} FROM {sets.recordset(AuditEventRow, _GIVEN)}"
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM audit_events"
_NEWEST_FIRST = Keyset(("occurred_at", "seq"), descending=True)
_AS_IT_HAPPENED = Keyset(("seq",), descending=False)

_CONDITIONS: dict[str, LiteralString] = {
    "task_id": "target_type = 'task' AND target_id = %(task_id)s",
    # The primary key finds a request's event, because the two share a suffix.
    "request_id": "request_id = %(request_id)s AND id = 'aud_' || split_part(%(request_id)s, '_', 2)",
    "actor_id": "actor_id = %(actor_id)s",
    "action": "action = %(action)s",
    "outcome": "outcome = %(outcome)s",
    "since": "occurred_at >= %(since)s",
    "until": "occurred_at < %(until)s",
}


def append_events(connection: Connection[Any], events: Iterable[AuditEvent]) -> None:
    """Append the events of a batch by one statement."""
    connection.execute(_APPEND, sets.rows(events))


class AuditFilters(PageArguments):
    """What every list of audit events can be narrowed by."""

    request_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to the event of this request."
    )
    actor_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to what this user, agent or service did."
    )
    action: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to this action, such as task.complete."
    )
    outcome: Annotated[Outcome | None, NOT_NULL] = Field(None, description="Restrict results to this outcome.")
    since: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Restrict results to events at or after this date and time, with an offset."
    )
    until: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Restrict results to events before this date and time, with an offset."
    )


class ListAuditEvents(AuditFilters):
    """List audit events: who did what to which task, from where, and what failed. Newest first.

    outcome tells whether the workspace was changed (applied), was so already (unchanged) or was not (failed).
    """

    task_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to this task; its events then come oldest first."
    )


async def list_audit_events(
    connection: AsyncConnection[Any], tenant_id: str, arguments: ListAuditEvents
) -> Page[AuditEvent]:
    """Return one page of the tenant's events: of one task in the order in which they took effect, else newest first.

    Raises:
        ValidationFailed: the cursor is not one of this list.

    """
    filters = {name: getattr(arguments, name) for name in _CONDITIONS if getattr(arguments, name) is not None}
    return await Listing(
        view=AuditEvent,
        select=_SELECT,
        conditions=["tenant_id = %(tenant_id)s", *(_CONDITIONS[name] for name in filters)],
        parameters={"tenant_id": tenant_id, **filters},
        keyset=_AS_IT_HAPPENED if "task_id" in filters else _NEWEST_FIRST,
    ).page(connection, arguments)
