"""Reads that HTTP and MCP share."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from core.errors import ResourceNotFound
from core.requests import Request, list_pending
from core.tasks.model import Task
from core.tasks.queries import get_task


async def get_task_and_pending(
    connection: AsyncConnection[Any], tenant_id: str, task_id: str
) -> tuple[Task, Sequence[Request]]:
    """Return a task and its queued requests.

    Raises:
        ResourceNotFound: the tenant has no such task; the detail tells when it is yet to be created.

    """
    task = await get_task(connection, tenant_id, task_id)
    pending = await list_pending(connection, tenant_id, task_id)
    if task is not None:
        return task, pending
    if pending:
        raise ResourceNotFound(f"Task {task_id} is not there yet: request {pending[0].id} is queued.")
    raise ResourceNotFound(f"There is no task {task_id} in this workspace.")
