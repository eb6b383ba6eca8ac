"""The audit trail over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from psycopg import AsyncConnection
from pydantic import Field

from api.access import AuditReader
from api.answers import found
from api.documentation import read_operation
from api.exchange import CurrentExchange, Waits
from api.reads import settle
from api.routes.tasks import TaskId
from api.views import AuditEventPage
from core.audit import AuditEvent, AuditFilters, ListAuditEvents, list_audit_events
from core.errors import FieldError, ResourceNotFound, ValidationFailed
from core.fields import NOT_NULL, Identifier
from core.paging import Page
from core.tasks.queries import is_known

router = APIRouter(tags=["audit"])


class TrailQuery(AuditFilters, Waits):
    """The filters of one task's trail; ids may be given by their short names as well."""

    request: Annotated[Identifier | None, NOT_NULL] = Field(None, description="The same as request_id.")
    actor: Annotated[Identifier | None, NOT_NULL] = Field(None, description="The same as actor_id.")


class AuditQuery(ListAuditEvents, TrailQuery):
    """The filters of the workspace's trail."""

    task: Annotated[Identifier | None, NOT_NULL] = Field(None, description="The same as task_id.")


def _arguments(query: TrailQuery, task_id: str | None) -> ListAuditEvents:
    """Return the filters under their full names; raises ValidationFailed where two names of one filter disagree."""
    given = query.model_dump(exclude_none=True)
    named = {"task_id": task_id, "request_id": query.request, "actor_id": query.actor}
    for name, value in named.items():
        if value is not None and given.setdefault(name, value) != value:
            short = name.removesuffix("_id")
            raise ValidationFailed([FieldError(short, f"{short} and {name} are one filter: give one of them")])
    return ListAuditEvents(**{name: given[name] for name in ListAuditEvents.model_fields if name in given})


@router.get(
    "/v1/audit-events",
    summary="List audit events",
    **read_operation(AuditEventPage, "audit:read", "audit_event_page"),
)
async def list_audit_events_(
    caller: AuditReader, exchange: CurrentExchange, query: Annotated[AuditQuery, Query()]
) -> Response:
    """Return a page of the workspace's audit trail, newest first; oldest first for one task."""
    await settle(exchange, caller, query)
    arguments = _arguments(query, query.task)
    page = await exchange.runtime.reader.run(
        lambda connection: list_audit_events(connection, caller.tenant_id, arguments)
    )
    return found(AuditEventPage.of(page, exchange.id))


@router.get(
    "/v1/tasks/{task_id}/audit-events",
    summary="List the audit events of a task",
    **read_operation(AuditEventPage, "audit:read", "audit_event_page"),
)
async def list_task_audit_events(
    caller: AuditReader,
    exchange: CurrentExchange,
    task_id: TaskId,
    query: Annotated[TrailQuery, Query()],
) -> Response:
    """Return a page of a task's trail in the order in which its writes took effect, failed ones included."""
    await settle(exchange, caller, query)
    arguments = _arguments(query, task_id)
    page = await exchange.runtime.reader.run(
        lambda connection: _of_known_task(connection, caller.tenant_id, task_id, arguments)
    )
    return found(AuditEventPage.of(page, exchange.id))


async def _of_known_task(
    connection: AsyncConnection[Any], tenant_id: str, task_id: str, arguments: ListAuditEvents
) -> Page[AuditEvent]:
    page = await list_audit_events(connection, tenant_id, arguments)
    if not page.items and not await is_known(connection, tenant_id, task_id):
        raise ResourceNotFound(f"There is no task {task_id} in this workspace.")
    return page
