"""What a caller may ask of activities."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from core.activity.model import ActivityType
from core.commands import Command
from core.fields import NO_NUL, NOT_BLANK, NOT_NULL, Identifier, Instant
from core.ids import sibling_id
from core.tasks.model import ResourceType
from core.tenancy.model import Scope

Body = Annotated[str, StringConstraints(min_length=1, max_length=20_000), NO_NUL, NOT_BLANK]


class LogActivity(Command):
    """Log a note, email, call or meeting about a contact, company, deal, support ticket or task.

    Use it after something was done or learned, such as where a follow-up came from. It changes no task: use
    update_task for that. What it is linked to must exist in this workspace; search_contacts finds the id.
    """

    kind: ClassVar[str] = "activity.log"
    scope: ClassVar[Scope] = "activity:write"

    type: ActivityType = Field(description="What it was.")
    body: Body = Field(description="What was done, said or written.")
    occurred_at: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Optional ISO 8601 date and time at which it happened, with an offset; now if absent."
    )
    related_resource_type: Annotated[ResourceType | None, NOT_NULL] = Field(
        None, description="Resource type that it was about."
    )
    related_resource_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Resource ID matching related_resource_type."
    )
    task_id: Annotated[Identifier | None, NOT_NULL] = Field(None, description="Task that it belongs to.")

    @model_validator(mode="after")
    def _related_resource_is_whole(self) -> Self:
        if (self.related_resource_type is None) != (self.related_resource_id is None):
            raise PydanticCustomError(
                "related_resource_id", "Give related_resource_type and related_resource_id together, or neither"
            )
        return self

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """The resource that it was about."""
        if self.related_resource_type is None or self.related_resource_id is None:
            return None
        return self.related_resource_type, self.related_resource_id

    def target(self, request_id: str) -> tuple[str, str]:
        """Name the task or the resource, behind whose earlier writes it waits; itself where it is about neither."""
        if self.task_id is not None:
            return "task", self.task_id
        return self.linked_resource or ("activity", sibling_id("act", request_id))

    def references(self) -> Collection[tuple[str, str]]:
        """Name the resource and the task that must exist."""
        linked = [] if self.linked_resource is None else [self.linked_resource]
        return linked if self.task_id is None else [*linked, ("task", self.task_id)]
