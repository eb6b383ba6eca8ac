import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest
from psycopg import AsyncConnection
from pydantic import ValidationError

from core.audit import ListAuditEvents, list_audit_events
from core.cursors import encode_cursor
from core.errors import ValidationFailed
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Task
from core.tasks.queries import ListTasks, get_task, get_tasks, list_tasks
from core.tenancy.model import Caller
from tests.core.paging import read_all
from tests.workspaces import Workspace

_START = datetime(2026, 12, 1, tzinfo=UTC)
_RESOURCES = (("contact", "c_1"), ("contact", "c_2"), ("deal", "c_1"))

_FILTERS: dict[str, list[Any]] = {
    "status": [None, "open", "completed", "canceled"],
    "assignee_id": [None, "usr_1"],
    "due_before": [None, _START + timedelta(days=4)],
    "due_after": [None, _START],
    "related_resource_type": [None, "contact"],
    "related_resource_id": [None, "c_1"],
    "source": [None, "mcp"],
}
_TESTS: dict[str, Callable[[Task, Any], bool]] = {
    "due_before": lambda task, value: task.due_at is not None and task.due_at < value,
    "due_after": lambda task, value: task.due_at is not None and task.due_at > value,
}


def _members(chance: random.Random, number: int) -> dict[str, Any]:
    members: dict[str, Any] = {"title": f"Task {number}"}
    if chance.random() < 0.6:
        # Few days for many tasks: the order must not depend on the due date alone.
        members["due_at"] = _START + timedelta(days=chance.randrange(8))
    if chance.random() < 0.5:
        members["assignee_id"] = chance.choice(["usr_1", "usr_2"])
    if chance.random() < 0.6:
        members["related_resource_type"], members["related_resource_id"] = chance.choice(_RESOURCES)
    return members


@pytest.fixture
def full_workspace(workspace: Workspace, stranger: Caller) -> Workspace:
    """A workspace of 150 tasks of all kinds, beside another one."""
    chance = random.Random(7)
    for type_, id_ in _RESOURCES:
        workspace.link(type_, id_)
    Workspace(workspace.settings, workspace.connection, stranger).create()
    receipts = [
        receipt
        for source in ("api", "mcp", "admin")
        for receipt in workspace.accept(
            *[CreateTask(**_members(chance, number)) for number in range(50)], source=source
        )
    ]
    ended = [
        UpdateTask(task_id=receipt.target_id, status=chance.choice(["completed", "canceled"]))
        for receipt in receipts
        if chance.random() < 0.5
    ]
    workspace.execute(*receipts, *workspace.accept(*ended))
    return workspace


def _expected(tasks: list[Task], filters: dict[str, Any]) -> list[str]:
    """Filter and sort in Python what the query is to find."""
    found = [
        task
        for task in tasks
        if all(
            _TESTS.get(name, lambda t, v, n=name: getattr(t, n) == v)(task, value) for name, value in filters.items()
        )
    ]
    if "due_before" in filters or "due_after" in filters:
        return [task.id for task in sorted(found, key=lambda task: (task.due_at, task.id))]
    return [task.id for task in sorted(found, key=lambda task: task.id, reverse=True)]


async def test_every_combination_of_filters_is_found_in_order_and_once_page_by_page(
    full_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    tasks = full_workspace.tasks()
    assert len(tasks) == 150
    seen = 0
    for values in product(*_FILTERS.values()):
        filters = {name: value for name, value in zip(_FILTERS, values, strict=True) if value is not None}
        if "related_resource_id" in filters and "related_resource_type" not in filters:
            continue
        arguments = ListTasks(limit=9, **{name: value for name, value in filters.items() if name != "source"})
        read = partial(list_tasks, async_connection, full_workspace.tenant_id, source=filters.get("source"))

        found = await read_all(read, arguments)

        assert [task.id for task in found] == _expected(tasks, filters)
        seen += len(found)
    assert seen > 1_000


@pytest.mark.parametrize(
    "filters",
    [{}, {"status": "open"}, {"due_after": _START - timedelta(days=1)}, {"related_resource_type": "contact"}],
    ids=str,
)
async def test_tasks_that_arrive_while_pages_are_read_move_nothing(
    full_workspace: Workspace, async_connection: AsyncConnection[Any], filters: dict[str, Any]
) -> None:
    chance = random.Random(1)
    before = _expected(full_workspace.tasks(), filters)

    def insert() -> None:
        new = [CreateTask(**_members(chance, number)) for number in range(5)]
        full_workspace.execute(*full_workspace.accept(*new))

    found = await read_all(
        partial(list_tasks, async_connection, full_workspace.tenant_id), ListTasks(limit=7, **filters), between=insert
    )

    ids = [task.id for task in found]
    assert len(set(ids)) == len(ids)
    assert [id_ for id_ in ids if id_ in set(before)] == before


async def test_tasks_that_leave_the_filter_while_pages_are_read_take_no_other_with_them(
    full_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    chance = random.Random(2)
    left: set[str] = set()
    before = _expected(full_workspace.tasks(), {"status": "open"})

    def cancel() -> None:
        task_id = chance.choice([id_ for id_ in before if id_ not in left])
        left.add(task_id)
        full_workspace.execute(*full_workspace.update(task_id, "canceled"))

    found = await read_all(
        partial(list_tasks, async_connection, full_workspace.tenant_id),
        ListTasks(limit=5, status="open"),
        between=cancel,
    )

    ids = [task.id for task in found]
    assert len(set(ids)) == len(ids)
    assert [id_ for id_ in ids if id_ not in left] == [id_ for id_ in before if id_ not in left]


async def test_newest_tasks_come_first_and_soonest_due_where_a_due_date_is_asked_for(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    late = workspace.create("Late", due_at=_START + timedelta(days=2))
    soon = workspace.create("Soon", due_at=_START)
    never = workspace.create("Never")

    everything = await list_tasks(async_connection, workspace.tenant_id, ListTasks())
    due = await list_tasks(async_connection, workspace.tenant_id, ListTasks(due_after=_START - timedelta(days=1)))

    assert [task.id for task in everything.items] == [never, soon, late]
    assert [task.id for task in due.items] == [soon, late]


async def test_due_bounds_are_exclusive(workspace: Workspace, async_connection: AsyncConnection[Any]) -> None:
    workspace.create(due_at=_START)

    for bound in (ListTasks(due_before=_START), ListTasks(due_after=_START)):
        assert (await list_tasks(async_connection, workspace.tenant_id, bound)).items == []


@pytest.mark.parametrize(("limit", "pages"), [(1, 6), (2, 3), (3, 2), (5, 2), (6, 1), (7, 1), (100, 1)])
async def test_the_last_page_has_no_cursor_even_when_it_is_full(
    workspace: Workspace, async_connection: AsyncConnection[Any], limit: int, pages: int
) -> None:
    workspace.execute(*workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(6)]))
    turns: list[None] = []

    found = await read_all(
        partial(list_tasks, async_connection, workspace.tenant_id),
        ListTasks(limit=limit),
        between=lambda: turns.append(None),
    )

    assert len(found) == 6
    assert len(turns) + 1 == pages


async def test_a_page_holds_25_tasks_unless_told_otherwise(
    full_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    page = await list_tasks(async_connection, full_workspace.tenant_id, ListTasks())

    assert len(page.items) == 25


async def test_an_empty_workspace_has_one_empty_page(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    page = await list_tasks(async_connection, workspace.tenant_id, ListTasks())

    assert (page.items, page.next_cursor) == ([], None)


async def test_a_cursor_serves_no_other_filter_list_source_or_workspace(
    full_workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    tenant_id = full_workspace.tenant_id
    page = await list_tasks(async_connection, tenant_id, ListTasks(limit=2, status="open"))
    cursor = page.next_cursor
    assert cursor is not None
    due = ListTasks(limit=2, status="open", due_before=_START, cursor=cursor)
    foreign = [
        list_tasks(async_connection, tenant_id, ListTasks(cursor=cursor)),
        list_tasks(async_connection, tenant_id, ListTasks(status="completed", cursor=cursor)),
        list_tasks(async_connection, tenant_id, due),
        list_tasks(async_connection, tenant_id, ListTasks(status="open", cursor=cursor), source="api"),
        list_tasks(async_connection, stranger.tenant_id, ListTasks(status="open", cursor=cursor)),
        list_tasks(async_connection, tenant_id, ListTasks(status="open", cursor=cursor[:-1] + "~")),
    ]

    for attempt in foreign:
        with pytest.raises(ValidationFailed):
            await attempt
    with pytest.raises(ValidationFailed):
        await list_audit_events(async_connection, tenant_id, ListAuditEvents(cursor=cursor))


@pytest.mark.parametrize(
    "position",
    [[], [1], [None], [True], [["task_1"]], [{}], ["\x00"], ["task_1", "task_2"], {"id": "task_1"}, "task_1", 1, None],
    ids=ascii,
)
@pytest.mark.parametrize("filters", [{}, {"due_before": _START}], ids=str)
async def test_a_forged_cursor_is_refused_or_leads_nowhere_else(
    workspace: Workspace, async_connection: AsyncConnection[Any], filters: dict[str, Any], position: list[Any]
) -> None:
    task_id = workspace.create(due_at=_START - timedelta(days=1))
    forged = encode_cursor(position, ["Task", {"tenant_id": workspace.tenant_id} | filters])

    with contextlib.suppress(ValidationFailed):
        page = await list_tasks(async_connection, workspace.tenant_id, ListTasks(cursor=forged, **filters))
        assert {task.id for task in page.items} <= {task_id}


async def test_the_page_size_may_change_from_page_to_page(
    full_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    first = await list_tasks(async_connection, full_workspace.tenant_id, ListTasks(limit=3))
    assert first.next_cursor is not None

    rest = await list_tasks(async_connection, full_workspace.tenant_id, ListTasks(limit=100, cursor=first.next_cursor))

    ids = [task.id for task in first.items + rest.items]
    assert ids == _expected(full_workspace.tasks(), {})[:103]


async def test_a_task_of_another_workspace_is_neither_listed_nor_found(
    workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    task_id = workspace.create()

    assert (await list_tasks(async_connection, stranger.tenant_id, ListTasks())).items == []
    assert await get_task(async_connection, stranger.tenant_id, task_id) is None
    assert await get_tasks(async_connection, stranger.tenant_id, [task_id]) == []
    assert await get_task(async_connection, workspace.tenant_id, task_id) == workspace.task(task_id)
    assert await get_tasks(async_connection, workspace.tenant_id, [task_id]) == [workspace.task(task_id)]


@pytest.mark.parametrize(
    "members",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": -1},
        {"limit": "25"},
        {"limit": 2.5},
        {"limit": True},
        {"limit": None},
        {"status": "done"},
        {"status": None},
        {"assignee_id": ""},
        {"assignee_id": "a\x00"},
        {"cursor": None},
        {"cursor": 1},
        {"cursor": "x" * 2_001},
        {"due_before": "2026-12-01"},
        {"due_after": "2026-12-01T00:00:00"},
        {"related_resource_id": "con_123"},
        {"related_resource_type": "lead"},
        {"source": "api"},
        {"offset": 10},
    ],
    ids=lambda members: ascii(members)[:50],
)
def test_arguments_outside_the_contract_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListTasks.model_validate(members)
