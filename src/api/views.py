"""What callers are shown: the documents that HTTP and MCP answer with."""

from datetime import datetime
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from core.activity.model import Activity
from core.audit import AuditEvent, Outcome
from core.imports.model import Import, ImportFormat, ImportState
from core.paging import Page
from core.requests import Request, RequestStatus
from core.tasks.model import Source, Task
from core.tenancy.model import ActorType

T = TypeVar("T")


def _absent(value: object) -> bool:
    return value is None


Present = Annotated[T | None, Field(exclude_if=_absent)]
"""A member that is left out rather than null."""


class View(BaseModel):
    """A document of an answer."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class TaskReference(View):
    """The task that an accepted write is about; it may not exist yet."""

    id: str


class Accepted(View):
    """A receipt: the write is committed to the queue and will be executed once, whatever happens."""

    task: TaskReference
    request_id: str
    request_status: Literal["queued"] = "queued"


class TaskChanged(View):
    """A write that was waited for, with the task as it is now."""

    task: Task
    request_id: str
    request_status: Literal["succeeded"] = "succeeded"


class ActivityReference(View):
    """The activity that an accepted write will log."""

    id: str


class ActivityAccepted(View):
    """A receipt: the write is committed to the queue and will be executed once, whatever happens."""

    activity: ActivityReference
    request_id: str
    request_status: Literal["queued"] = "queued"


class ActivityLogged(View):
    """A write that was waited for, with the activity that it logged."""

    activity: Activity
    request_id: str
    request_status: Literal["succeeded"] = "succeeded"


class ActivityPage(View):
    """One page of activities."""

    activities: list[Activity]
    next_cursor: Present[str] = None
    request_id: str


class TaskPage(View):
    """One page of tasks."""

    tasks: list[Task]
    next_cursor: Present[str] = None
    request_id: str


class RequestView(View):
    """The status of a write. `error` is its problem document when it failed."""

    id: str
    status: RequestStatus
    command: str
    target: "TargetView"
    task_id: str | None
    accepted_at: datetime
    finished_at: datetime | None
    attempts: int
    error: Present["Problem"] = None
    audit_event_id: Present[str] = None

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return what callers are shown of a request."""
        target = TargetView(type=request.target_type, id=request.target_id)
        return cls(target=target, **{name: getattr(request, name) for name in cls.model_fields if name != "target"})


class RequestFound(View):
    """The status of one write."""

    request: RequestView


class TaskFound(View):
    """One task, and the writes to it that are accepted and not executed yet, in the order of their execution."""

    task: Task
    pending: list[RequestView]
    request_id: str


class ImportView(View):
    """How far an import is: every row that was read is in one of the six counts behind `rows`."""

    id: str
    state: ImportState
    format: ImportFormat
    dry_run: bool
    rows: int
    rejected: int
    replayed: int
    queued: int
    succeeded: int
    failed: int
    canceled: int
    rate: float = Field(description="Rows executed per second.")
    bytes_received: int = Field(description="How much of the file is committed; where an upload that was cut goes on.")
    error: Present[str] = None
    actor: "ActorView"
    created_at: datetime
    received_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, known: Import) -> Self:
        """Return what callers are shown of an import."""
        actor = ActorView(id=known.actor_id, type=known.actor_type, name=known.actor_name)
        return cls(actor=actor, **{name: getattr(known, name) for name in cls.model_fields if name != "actor"})


class ImportFound(View):
    """How far one import is."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    import_: ImportView = Field(serialization_alias="import")
    request_id: str


class ImportPage(View):
    """One page of imports."""

    imports: list[ImportView]
    next_cursor: Present[str] = None
    request_id: str


class TargetView(View):
    """What a write is about: a task, or a resource of the CRM directory."""

    type: str
    id: str


class ActorView(View):
    """Who acted, as it was called then."""

    id: str
    type: ActorType
    name: str


class LinkedResource(View):
    """The CRM resource that the task is attached to."""

    type: str
    id: str


class AuditError(View):
    """Why a write failed; `status` is the HTTP status of the error."""

    code: str
    status: int
    message: str


class AuditEventView(View):
    """What one write did: applied, or unchanged because it was so already, or failed."""

    id: str
    occurred_at: datetime
    tenant_id: str
    action: str
    outcome: Outcome
    actor: ActorView
    source: Source
    target: TargetView
    task_id: str | None
    previous_status: str | None
    new_status: str | None
    requested_status: str | None
    linked_resource: LinkedResource | None
    request_id: str
    error: AuditError | None

    @classmethod
    def of(cls, event: AuditEvent) -> Self:
        """Return what callers are shown of an event."""
        actor = ActorView(id=event.actor_id, type=event.actor_type, name=event.actor_name)
        target = TargetView(type=event.target_type, id=event.target_id)
        type_, id_ = event.linked_resource_type, event.linked_resource_id
        linked = LinkedResource(type=type_, id=id_) if type_ and id_ else None
        own = {"actor", "target", "linked_resource"}
        same = {name: getattr(event, name) for name in cls.model_fields if name not in own}
        return cls(actor=actor, target=target, linked_resource=linked, **same)


class AuditEventPage(View):
    """One page of audit events."""

    audit_events: list[AuditEventView]
    next_cursor: Present[str] = None
    request_id: str

    @classmethod
    def of(cls, page: Page[AuditEvent], request_id: str) -> Self:
        """Return what callers are shown of a page."""
        events = [AuditEventView.of(event) for event in page.items]
        return cls(audit_events=events, next_cursor=page.next_cursor, request_id=request_id)


class Problem(View):
    """What is wrong (RFC 9457). `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    field_errors: Present[list["FieldProblem"]] = None
    required_scope: Present[str] = None
    from_status: Present[str] = None
    to_status: Present[str] = None
    retry_after_seconds: Present[int] = None


class FieldProblem(View):
    """One member that is not acceptable."""

    field: str
    message: str
