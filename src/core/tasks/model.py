"""The tasks table and the view of one of its rows."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict
from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row
from core.records import Target

Status = Literal["open", "completed", "canceled"]
ResourceType = Literal["contact", "company", "deal", "support_ticket"]
Source = Literal["api", "mcp", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A follow-up as callers see it; times are UTC, `revision` counts its changes from 1."""

    # In what is sent out every member is present, so that its JSON Schema requires all of them.
    __pydantic_config__: ClassVar = ConfigDict(json_schema_serialization_defaults_required=True)

    id: str
    tenant_id: str
    title: str
    description: str | None = None
    status: Status = "open"
    due_at: datetime | None = None
    assignee_id: str | None = None
    related_resource_type: ResourceType | None = None
    related_resource_id: str | None = None
    source: Source
    last_agent_actor_id: str | None = None
    completed_note: str | None = None
    completed_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    revision: int = 1

    @property
    def target(self) -> Target:
        """What commands about it name."""
        return Target(self.tenant_id, "task", self.id)

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """Type and id of the resource that it is attached to."""
        if self.related_resource_type is None or self.related_resource_id is None:
            return None
        return self.related_resource_type, self.related_resource_id


TASK_COLUMNS = tuple(field.name for field in fields(Task))


class TaskRow(Row):
    """One row of `tasks`. Each filter of the list has the index that serves it in the list's order."""

    __tablename__ = "tasks"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    due_at: Mapped[datetime | None]
    assignee_id: Mapped[str | None] = mapped_column(ID)
    related_resource_type: Mapped[str | None]
    related_resource_id: Mapped[str | None] = mapped_column(ID)
    source: Mapped[str]
    last_agent_actor_id: Mapped[str | None] = mapped_column(ID)
    completed_note: Mapped[str | None]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    revision: Mapped[int]

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        CheckConstraint("status IN ('open', 'completed', 'canceled')", name="status"),
        CheckConstraint("(completed_at IS NOT NULL) = (status = 'completed')", name="completed_at"),
        CheckConstraint("completed_note IS NULL OR status = 'completed'", name="completed_note"),
        CheckConstraint("(related_resource_type IS NULL) = (related_resource_id IS NULL)", name="related_resource"),
        CheckConstraint(
            "related_resource_type IN ('contact', 'company', 'deal', 'support_ticket')",
            name="related_resource_type",
        ),
        CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        Index("tasks_by_status", "tenant_id", "status", "id"),
        Index("tasks_by_source", "tenant_id", "source", "id"),
        Index("tasks_by_assignee", "tenant_id", "assignee_id", "id", postgresql_where=text("assignee_id IS NOT NULL")),
        Index("tasks_by_due_at", "tenant_id", "due_at", "id", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "tasks_by_related_resource",
            "tenant_id",
            "related_resource_type",
            "related_resource_id",
            "id",
            postgresql_where=text("related_resource_id IS NOT NULL"),
        ),
    )
