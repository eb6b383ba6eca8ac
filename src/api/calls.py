"""What a call of an MCP tool does: it submits commands and waits for them, or looks something up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from api.batches import Batch
from api.inputs import as_object, parse_command
from api.reads import get_task_and_pending
from api.results import BatchResults
from api.runtime import Runtime
from api.views import ActivityPage, AuditEventPage, RequestFound, RequestView, TaskFound, TaskPage, View
from api.writes import wait_for_request, write
from core.acceptance import Submission
from core.activity.queries import ListActivities, list_activities
from core.audit import ListAuditEvents, list_audit_events
from core.commands import Command, StrictModel
from core.fields import Identifier
from core.tasks.commands import CreateTask
from core.tasks.queries import ListTasks, list_tasks
from core.tenancy.model import Caller

PATH = "/mcp"
_PROGRESS_SECONDS = 1.0

Report = Callable[[float, float, str], Awaitable[None]]
"""Tells the client how far a call is, how far it goes, and what it does; nothing where the client did not ask."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the request id of its answer, under which a write is accepted, and who calls."""

    id: str
    runtime: Runtime
    caller: Caller
    report: Report


class GetTask(StrictModel):
    """Get a task, and the writes to it that are accepted and not executed yet.

    These are listed under `pending`, in the order in which they will take effect.
    """

    task_id: Identifier = Field(description="Task ID to get.")


class GetRequest(StrictModel):
    """Get the status of a write: queued, succeeded or failed.

    Use it after a write that answered with request_status queued. A failed request says why under `error`.
    """

    request_id: Identifier = Field(description="Request ID that the write answered with.")


class CreateTasks(StrictModel):
    """Create up to 50 tasks in one call, for users, agents, contacts, companies, or deals.

    Each is accepted or refused by itself; results has one entry for each task, in the same order: the task as it was
    created, or request_status queued (look with get_request), or an error that says what to mend. Send again what
    was refused, not the rest; with an idempotency_key for each task, the whole call can be repeated safely.
    """

    tasks: list[Any] = Field(
        min_length=1, max_length=50, description="The tasks to create, each as create_task takes it."
    )


async def submit(call: Call, command: Command, key: str | None) -> View:
    """Submit a command and wait BATON_MCP_WAIT seconds at most for its execution; cancelling the call undoes nothing.

    Raises:
        DomainError: the submission was refused, or it was executed within the wait and failed.

    """
    submission = Submission(call.caller, "mcp", command, key, request_id=call.id)
    wait = call.runtime.settings.mcp_wait
    async with _reporting(call.report, wait, "Waiting for the write to be executed"):
        written = await write(call.runtime, submission, wait)
    return written.view()


async def create_tasks(call: Call, arguments: CreateTasks) -> BatchResults:
    """Submit the creation of each task, and wait BATON_MCP_WAIT seconds at most until all of them are executed.

    Raises:
        DomainError: none was accepted.

    """
    wait = call.runtime.settings.mcp_wait
    batch = Batch(call.runtime, call.caller, "mcp", call.id, f"{PATH}#/tasks", wait)
    async with _reporting(call.report, wait, "Waiting for the writes to be executed"):
        return await batch.submit(arguments.tasks, lambda item, _: parse_command(CreateTask, as_object(item)))


@asynccontextmanager
async def _reporting(report: Report, wait: float, what: str) -> AsyncIterator[None]:
    """Report every second that the block still waits."""

    async def go_on() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            await report(loop.time() - began, wait, what)

    reporter = asyncio.create_task(go_on())
    try:
        yield
    finally:
        reporter.cancel()
        await asyncio.wait({reporter})


async def find_tasks(call: Call, arguments: ListTasks) -> TaskPage:
    """Return a page of tasks; raises ValidationFailed for a cursor that is not of this list."""
    tenant_id = call.caller.tenant_id
    page = await call.runtime.reader.run(lambda connection: list_tasks(connection, tenant_id, arguments))
    return TaskPage(tasks=page.items, next_cursor=page.next_cursor, request_id=call.id)


async def find_task(call: Call, arguments: GetTask) -> TaskFound:
    """Return a task and its queued requests; raises ResourceNotFound."""
    tenant_id, task_id = call.caller.tenant_id, arguments.task_id
    task, pending = await call.runtime.reader.run(
        lambda connection: get_task_and_pending(connection, tenant_id, task_id)
    )
    return TaskFound(task=task, pending=[RequestView.of(each) for each in pending], request_id=call.id)


async def find_request(call: Call, arguments: GetRequest) -> RequestFound:
    """Return a request as it is now; raises ResourceNotFound."""
    found = await wait_for_request(call.runtime, call.caller.tenant_id, arguments.request_id, 0)
    return RequestFound(request=RequestView.of(found))


async def find_audit_events(call: Call, arguments: ListAuditEvents) -> AuditEventPage:
    """Return a page of audit events; raises ValidationFailed for a cursor that is not of this list."""
    tenant_id = call.caller.tenant_id
    page = await call.runtime.reader.run(lambda connection: list_audit_events(connection, tenant_id, arguments))
    return AuditEventPage.of(page, call.id)


async def find_activities(call: Call, arguments: ListActivities) -> ActivityPage:
    """Return a page of activities; raises ValidationFailed for a cursor that is not of this list."""
    tenant_id = call.caller.tenant_id
    page = await call.runtime.reader.run(lambda connection: list_activities(connection, tenant_id, arguments))
    return ActivityPage(activities=page.items, next_cursor=page.next_cursor, request_id=call.id)
