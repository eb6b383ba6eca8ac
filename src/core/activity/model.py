"""The activities table and the view of one of its rows."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import ConfigDict
from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row
from core.records import Target
from core.tasks.model import ResourceType, Source
from core.tenancy.model import ActorType

ActivityType = Literal["note", "email", "call", "meeting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that was done, as callers see it; times are UTC. It is logged once and never changed."""

    __pydantic_config__: ClassVar = ConfigDict(json_schema_serialization_defaults_required=True)

    id: str
    tenant_id: str
    type: ActivityType
    body: str
    occurred_at: datetime
    related_resource_type: ResourceType | None = None
    related_resource_id: str | None = None
    task_id: str | None = None
    source: Source
    actor_id: str
    actor_type: ActorType
    actor_name: str
    created_at: datetime

    @property
    def target(self) -> Target:
        """What it is known by."""
        return Target(self.tenant_id, "activity", self.id)

    @property
    def status(self) -> None:
        """An activity has no life beyond being logged."""

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """Type and id of the resource that it was about."""
        if self.related_resource_type is None or self.related_resource_id is None:
            return None
        return self.related_resource_type, self.related_resource_id


ACTIVITY_COLUMNS = tuple(field.name for field in fields(Activity))


class ActivityRow(Row):
    """One row of `activities`. Each filter of the list has the index that serves it in the list's order."""

    __tablename__ = "activities"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    type: Mapped[str]
    body: Mapped[str]
    occurred_at: Mapped[datetime]
    related_resource_type: Mapped[str | None]
    related_resource_id: Mapped[str | None] = mapped_column(ID)
    task_id: Mapped[str | None] = mapped_column(ID)
    source: Mapped[str]
    actor_id: Mapped[str] = mapped_column(ID)
    actor_type: Mapped[str]
    actor_name: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        CheckConstraint("type IN ('note', 'email', 'call', 'meeting')", name="type"),
        CheckConstraint("(related_resource_type IS NULL) = (related_resource_id IS NULL)", name="related_resource"),
        CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        Index("activities_by_time", "tenant_id", "occurred_at", "id"),
        Index(
            "activities_by_related_resource",
            "tenant_id",
            "related_resource_type",
            "related_resource_id",
            "occurred_at",
            "id",
            postgresql_where=text("related_resource_id IS NOT NULL"),
        ),
        Index(
            "activities_by_task",
            "tenant_id",
            "task_id",
            "occurred_at",
            "id",
            postgresql_where=text("task_id IS NOT NULL"),
        ),
    )
