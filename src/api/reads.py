"""Reads that HTTP and MCP share."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from api.connected import while_connected
from api.exchange import AFTER_REQUEST_SECONDS, Exchange, Waits
from api.writes import wait_for_request
from core.errors import ResourceNotFound, Unavailable
from core.requests import Request, list_pending
from core.tasks.model import Task
from core.tasks.queries import get_task
from core.tenancy.model import Caller


async def settle(exchange: Exchange, caller: Caller, query: Waits) -> None:
    """Wait until the request that a read is to follow is finished, so that the read sees its effect.

    Raises:
        ResourceNotFound: the tenant has no such request.
        Unavailable: it is not finished in time.

    """
    if query.after_request is None:
        return
    wait = AFTER_REQUEST_SECONDS if exchange.wait is None else exchange.wait
    request = await follow(exchange, caller, query.after_request, wait)
    if not request.finished:
        raise Unavailable(f"Request {query.after_request} is still queued after {wait} s.", retry_after=1)


async def follow(exchange: Exchange, caller: Caller, request_id: str, wait: float) -> Request:
    """Return a request when it is finished, or as it is after `wait` seconds.

    Raises:
        ResourceNotFound: the tenant has no such request.
        ClientDisconnect: the client hung up meanwhile.

    """
    return await while_connected(
        exchange.receive, wait, wait_for_request(exchange.runtime, caller.tenant_id, request_id, wait)
    )


async def get_task_and_pending(
    connection: AsyncConnection[Any], tenant_id: str, task_id: str
) -> tuple[Task, Sequence[Request]]:
    """Return a task and its queued requests.

    Raises:
        ResourceNotFound: the tenant has no such task; the detail tells when it is yet to be created.

    """
    # In this order: what is executed between the two is seen in the task, and at worst still named as pending.
    pending = await list_pending(connection, tenant_id, task_id)
    task = await get_task(connection, tenant_id, task_id)
    if task is not None:
        return task, pending
    if pending:
        raise ResourceNotFound(f"Task {task_id} is not there yet: request {pending[0].id} is queued.")
    raise ResourceNotFound(f"There is no task {task_id} in this workspace.")
