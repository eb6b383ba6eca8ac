"""Tasks over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from starlette.convertors import StringConvertor, register_url_convertor

from api.access import TaskReader
from api.answers import batch_written, found, tagged, task_tag, written
from api.batches import Batch, CommandBatch, parse_named
from api.connected import while_connected
from api.documentation import batch_operation, read_operation, write_operation
from api.examples import CREATE_TASK, UPDATE_TASK
from api.exchange import CurrentExchange, Waits
from api.incoming import TaskBatch, TaskWrite
from api.inputs import parse_arguments, parse_batch_key, parse_command, parse_members
from api.reads import get_task_and_pending, settle
from api.views import RequestView, TaskFound, TaskPage
from core.acceptance import Submission
from core.fields import NOT_NULL, Identifier
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Source
from core.tasks.queries import ListTasks, list_tasks

router = APIRouter(tags=["tasks"])

TaskId = Annotated[Identifier, Path(description="Task identifier.")]


class _TaskIdConvertor(StringConvertor):
    """What a path names a task by: not `batch`, which is a resource of its own."""

    regex = r"(?!batch\Z)[^/]+"


register_url_convertor("task", _TaskIdConvertor())


class ListTasksQuery(ListTasks, Waits):
    """The filters of the list, and what a client may add over HTTP."""

    source: Annotated[Source | None, NOT_NULL] = Field(None, description="Filter tasks by where they came from.")


@router.post(
    "/v1/tasks",
    summary="Create a task",
    **write_operation(CreateTask, executed=201, sends=CREATE_TASK, returns="task_created"),
)
async def create_task(write: TaskWrite) -> Response:
    """Queue the creation of a task; answers 202 with the task's id, or 201 after `Prefer: wait=N`."""
    exchange = write.exchange
    command, key = parse_command(CreateTask, parse_members(write.body), exchange.idempotency_key)
    submission = Submission(write.caller, "api", command, key, request_id=exchange.id)
    return await written(exchange, submission, HTTPStatus.CREATED)


@router.post(
    "/v1/tasks/batch",
    summary="Create and update many tasks",
    **batch_operation(),
)
async def submit_batch(write: TaskBatch) -> Response:
    """Queue up to 1,000 commands; answers 202, or 200 where nothing is left to be executed."""
    exchange = write.exchange
    key = parse_batch_key(exchange.idempotency_key)
    commands = parse_arguments(CommandBatch, parse_members(write.body)).commands
    batch = Batch(exchange.runtime, write.caller, "api", exchange.id, f"{exchange.path}#/commands", exchange.wait or 0)
    submitting = batch.submit(commands, lambda item, at: parse_named(item, f"{key}/{at}" if key else None))
    return batch_written(exchange, await while_connected(exchange.receive, batch.wait, submitting))


@router.patch(
    "/v1/tasks/{task_id:task}",
    summary="Complete, cancel or reopen a task",
    **write_operation(UpdateTask, executed=200, sends=UPDATE_TASK, returns="task_updated", without=["task_id"]),
)
async def update_task(write: TaskWrite, task_id: TaskId) -> Response:
    """Queue an update of a task; answers 202, or 200 after `Prefer: wait=N`."""
    exchange, members = write.exchange, parse_members(write.body)
    command, key = parse_command(UpdateTask, members, exchange.idempotency_key, task_id=task_id)
    submission = Submission(write.caller, "api", command, key, request_id=exchange.id)
    return await written(exchange, submission, HTTPStatus.OK)


@router.get("/v1/tasks", summary="List tasks", **read_operation(TaskPage, "tasks:read", "task_page"))
async def list_tasks_(
    caller: TaskReader, exchange: CurrentExchange, query: Annotated[ListTasksQuery, Query()]
) -> Response:
    """Return a page of tasks, newest first, or soonest due first when filtered by due date."""
    await settle(exchange, caller, query)
    page = await exchange.runtime.reader.run(
        lambda connection: list_tasks(connection, caller.tenant_id, query, source=query.source)
    )
    return found(TaskPage(tasks=page.items, next_cursor=page.next_cursor, request_id=exchange.id))


@router.get(
    "/v1/tasks/{task_id:task}",
    summary="Get a task",
    **read_operation(TaskFound, "tasks:read", "task_found", tagged=True),
)
async def get_task_(
    request: Request, caller: TaskReader, exchange: CurrentExchange, task_id: TaskId, query: Annotated[Waits, Query()]
) -> Response:
    """Return a task, and the writes to it that are accepted and not executed yet."""
    await settle(exchange, caller, query)
    task, pending = await exchange.runtime.reader.run(
        lambda connection: get_task_and_pending(connection, caller.tenant_id, task_id)
    )
    document = TaskFound(task=task, pending=[RequestView.of(each) for each in pending], request_id=exchange.id)
    return tagged(request, document, task_tag(task, pending))
