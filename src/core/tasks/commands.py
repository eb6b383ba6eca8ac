"""What a caller may ask of tasks."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from core.commands import Command
from core.fields import NO_NUL, NOT_BLANK, NOT_NULL, Identifier, Instant
from core.ids import sibling_id
from core.tasks.model import ResourceType, Status
from core.tenancy.model import Scope

Title = Annotated[str, StringConstraints(min_length=1, max_length=500), NO_NUL, NOT_BLANK]
LongText = Annotated[str, StringConstraints(max_length=20_000), NO_NUL]

_ACTIONS = {"completed": "task.complete", "canceled": "task.cancel", "open": "task.reopen"}


class CreateTask(Command):
    """Create a task for a user, agent, contact, company, or deal.

    Use it for a follow-up that somebody should do later. A related resource must exist in this workspace.
    Repeat a call that may have failed with the same idempotency_key: it creates nothing twice.
    """

    kind: ClassVar[str] = "task.create"
    scope: ClassVar[Scope] = "tasks:write"

    title: Title = Field(description="Short task title written for a human operator.")
    description: Annotated[LongText | None, NOT_NULL] = Field(
        None, description="Optional task details or completion criteria."
    )
    due_at: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Optional ISO 8601 due date and time, with an offset."
    )
    assignee_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="User or agent ID responsible for the task."
    )
    related_resource_type: Annotated[ResourceType | None, NOT_NULL] = Field(
        None, description="Resource type the task should be attached to."
    )
    related_resource_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Resource ID matching related_resource_type."
    )

    @model_validator(mode="after")
    def _related_resource_is_whole(self) -> Self:
        if (self.related_resource_type is None) != (self.related_resource_id is None):
            raise PydanticCustomError(
                "related_resource_id", "Give related_resource_type and related_resource_id together, or neither"
            )
        return self

    @property
    def requested_status(self) -> str | None:
        """A task begins open."""
        return "open"

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """The resource that the new task is to be attached to."""
        if self.related_resource_type is None or self.related_resource_id is None:
            return None
        return self.related_resource_type, self.related_resource_id

    def target(self, request_id: str) -> tuple[str, str]:
        """Name the new task, which shares the suffix of its first request."""
        return "task", sibling_id("task", request_id)


class UpdateTask(Command):
    """Update a task status, including canceling or reopening it.

    An open task can be completed or canceled, and both can be reopened; reopening clears the note.
    completed_note belongs to a task that is, or becomes, completed.
    """

    kind: ClassVar[str] = "task.update"
    scope: ClassVar[Scope] = "tasks:write"

    task_id: Identifier = Field(description="Task ID to update.")
    status: Annotated[Status | None, NOT_NULL] = Field(None, description="Target task status.")
    completed_note: Annotated[LongText | None, NOT_NULL] = Field(None, description="Optional completion note.")

    @model_validator(mode="after")
    def _note_is_of_a_completion(self) -> Self:
        if self.completed_note is not None and self.status in {"open", "canceled"}:
            raise PydanticCustomError("completed_note", "A completed_note needs a task that is, or becomes, completed")
        return self

    @property
    def action(self) -> str:
        """The verb that humans look for: complete, cancel, reopen, else update."""
        return _ACTIONS.get(self.status or "", self.kind)

    @property
    def requested_status(self) -> str | None:
        """The status asked for, None when only the note is to change."""
        return self.status

    def target(self, request_id: str) -> tuple[str, str]:
        """Name the task to update."""
        del request_id
        return "task", self.task_id
