"""How tasks are read, and how execution writes them back."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, LiteralString, Self

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core import sets
from core.fields import NOT_NULL, Identifier, Instant
from core.paging import Keyset, Listing, Page, PageArguments
from core.records import Store, Target
from core.tasks.model import TASK_COLUMNS, ResourceType, Source, Status, Task, TaskRow

_SELECT = f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks"
# One after the other by the primary key, in the order given: so the planner has no other way.
_MANY: LiteralString = f"""
    SELECT task.* FROM unnest(%s::text[]) AS named (id)
    CROSS JOIN LATERAL ({_SELECT} WHERE tenant_id = %s AND id = named.id OFFSET 0) task
"""
_LOCK: LiteralString = f"""
    SELECT task.* FROM unnest(%s::text[], %s::text[]) AS named (tenant_id, id)
    CROSS JOIN LATERAL ({_SELECT} WHERE tenant_id = named.tenant_id AND id = named.id FOR NO KEY UPDATE) task
"""
_NEWEST_FIRST = Keyset(("id",), descending=True)
_SOONEST_DUE_FIRST = Keyset(("due_at", "id"), descending=False)

_CONDITIONS: dict[str, LiteralString] = {
    "status": "status = %(status)s",
    "assignee_id": "assignee_id = %(assignee_id)s",
    "due_before": "due_at < %(due_before)s",
    "due_after": "due_at > %(due_after)s",
    "related_resource_type": "related_resource_type = %(related_resource_type)s",
    "related_resource_id": "related_resource_id = %(related_resource_id)s",
    "source": "source = %(source)s",
}

_KEPT = [column for column in TASK_COLUMNS if column not in {"tenant_id", "id"}]
_UPSERT: LiteralString = (
    sets.insert(TaskRow, TASK_COLUMNS)
    + " ON CONFLICT (tenant_id, id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _KEPT)
)


class ListTasks(PageArguments):
    """List tasks by status, assignee, due date, or related resource.

    Newest first; soonest due first when due_before or due_after is given. More pages: repeat the call with
    the cursor and the same filters.
    """

    limit: int = Field(25, ge=1, le=100, description="Maximum number of tasks to return.")
    status: Annotated[Status | None, NOT_NULL] = Field(None, description="Filter tasks by lifecycle status.")
    assignee_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to tasks assigned to this user or agent."
    )
    due_before: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Restrict results to tasks due before this date and time, with an offset."
    )
    due_after: Annotated[Instant | None, NOT_NULL] = Field(
        None, description="Restrict results to tasks due after this date and time, with an offset."
    )
    related_resource_type: Annotated[ResourceType | None, NOT_NULL] = Field(
        None, description="Restrict results to tasks linked to this type of resource."
    )
    related_resource_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to tasks linked to this resource; needs related_resource_type."
    )

    @model_validator(mode="after")
    def _related_resource_has_a_type(self) -> Self:
        if self.related_resource_id is not None and self.related_resource_type is None:
            raise PydanticCustomError("related_resource_type", "Give related_resource_type with related_resource_id")
        return self


async def list_tasks(
    connection: AsyncConnection[Any], tenant_id: str, arguments: ListTasks, *, source: Source | None = None
) -> Page[Task]:
    """Return one page of the tenant's tasks.

    Raises:
        ValidationFailed: the cursor is not one of this list.

    """
    given = {name: getattr(arguments, name, source) for name in _CONDITIONS}
    filters = {name: value for name, value in given.items() if value is not None}
    due = "due_before" in filters or "due_after" in filters
    return await Listing(
        view=Task,
        select=_SELECT,
        conditions=["tenant_id = %(tenant_id)s", *(_CONDITIONS[name] for name in filters)],
        parameters={"tenant_id": tenant_id, **filters},
        keyset=_SOONEST_DUE_FIRST if due else _NEWEST_FIRST,
    ).page(connection, arguments)


async def get_task(connection: AsyncConnection[Any], tenant_id: str, task_id: str) -> Task | None:
    """Return a task of the tenant."""
    async with connection.cursor(row_factory=class_row(Task)) as cursor:
        await cursor.execute(_SELECT + " WHERE tenant_id = %s AND id = %s", (tenant_id, task_id))
        return await cursor.fetchone()


async def get_tasks(connection: AsyncConnection[Any], tenant_id: str, ids: Sequence[str]) -> list[Task]:
    """Return those of the tasks that the tenant has, in any order."""
    async with connection.cursor(row_factory=class_row(Task)) as cursor:
        await cursor.execute(_MANY, (list(ids), tenant_id))
        return await cursor.fetchall()


def load_tasks(connection: Connection[Any], targets: Collection[Target]) -> list[Task]:
    """Lock and return those of the tasks that exist, by one statement, in the order of their ids.

    The lock is for a request whose front end committed late: an execution of the task that began before cannot have
    seen it, and so holds no request that this one would have waited for.
    """
    tenants, _, ids = (list(column) for column in zip(*sorted(targets), strict=True))
    with connection.cursor(row_factory=class_row(Task)) as cursor:
        return cursor.execute(_LOCK, (tenants, ids)).fetchall()


def save_tasks(connection: Connection[Any], tasks: Iterable[Task]) -> None:
    """Write new and changed tasks by one statement."""
    connection.execute(_UPSERT, sets.rows(tasks))


TASKS = Store(Task, frozenset({"task"}), load_tasks, save_tasks)


async def is_known(connection: AsyncConnection[Any], tenant_id: str, task_id: str) -> bool:
    """Return whether the tenant has such a task, a write to it in line, or an event that names it."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM tasks WHERE tenant_id = %(tenant_id)s AND id = %(task_id)s)"
        " OR EXISTS (SELECT FROM requests"
        " WHERE tenant_id = %(tenant_id)s AND target_type = 'task' AND target_id = %(task_id)s AND status = 'queued')"
        " OR EXISTS (SELECT FROM audit_events"
        " WHERE tenant_id = %(tenant_id)s AND target_type = 'task' AND target_id = %(task_id)s)",
        {"tenant_id": tenant_id, "task_id": task_id},
    )
    row = await cursor.fetchone()
    return bool(row and row[0])
