"""The trail that a human reads."""

from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from pydantic import ValidationError

from core.audit import AuditEvent, ListAuditEvents, append_events, list_audit_events
from core.errors import ValidationFailed
from core.tasks.commands import CreateTask
from core.tenancy.model import Caller
from tests.core.paging import read_all
from tests.workspaces import Workspace


@pytest.fixture
def busy_workspace(workspace: Workspace, agent: Caller, stranger: Caller) -> Workspace:
    """A workspace in which a person and an agent did things, some of them in vain, beside another one."""
    Workspace(workspace.settings, workspace.connection, stranger).create()
    for _ in range(5):
        task_id = workspace.create()
        workspace.execute(*workspace.update(task_id, "completed", "completed", "canceled", "open"))
        workspace.execute(*workspace.update(task_id, "canceled", caller=agent, source="mcp"))
    workspace.execute(*workspace.update("task_none", "completed", caller=agent, source="mcp"))
    return workspace


def _newest_first(events: list[AuditEvent]) -> list[AuditEvent]:
    return sorted(events, key=lambda event: (event.occurred_at, event.seq), reverse=True)


async def test_a_workspace_is_told_newest_first_and_completely(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    found = await read_all(
        partial(list_audit_events, async_connection, busy_workspace.tenant_id), ListAuditEvents(limit=4)
    )

    assert len(found) == 31
    assert found == _newest_first(busy_workspace.events())


async def test_a_task_is_told_in_the_order_in_which_things_took_effect(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    task_id = busy_workspace.tasks()[0].id

    found = await read_all(
        partial(list_audit_events, async_connection, busy_workspace.tenant_id),
        ListAuditEvents(task_id=task_id, limit=2),
    )

    assert [(event.action, event.outcome) for event in found] == [
        ("task.create", "applied"),
        ("task.complete", "applied"),
        ("task.complete", "unchanged"),
        ("task.cancel", "failed"),
        ("task.reopen", "applied"),
        ("task.cancel", "applied"),
    ]
    for before, after in pairwise(found):
        assert after.previous_status == before.new_status
        assert after.occurred_at > before.occurred_at


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"actor_id": "agt_1"}, 6),
        ({"actor_id": "usr_1"}, 25),
        ({"actor_id": "usr_2"}, 0),
        ({"action": "task.complete"}, 11),
        ({"action": "task.cancel", "outcome": "failed"}, 5),
        ({"outcome": "unchanged"}, 5),
        ({"outcome": "failed", "actor_id": "agt_1"}, 1),
        ({"task_id": "task_none"}, 1),
        ({"task_id": "task_other"}, 0),
        ({"request_id": "req_none"}, 0),
        ({"request_id": "none"}, 0),
    ],
    ids=str,
)
async def test_filters_narrow_the_trail(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any], filters: dict[str, str], count: int
) -> None:
    found = await read_all(
        partial(list_audit_events, async_connection, busy_workspace.tenant_id),
        ListAuditEvents.model_validate({"limit": 3} | filters),
    )

    assert len(found) == count
    assert all(getattr(event, name) == value for event in found for name, value in filters.items())


async def test_a_request_leads_to_its_event(busy_workspace: Workspace, async_connection: AsyncConnection[Any]) -> None:
    for event in busy_workspace.events():
        page = await list_audit_events(
            async_connection, busy_workspace.tenant_id, ListAuditEvents(request_id=event.request_id)
        )
        assert page.items == [event]


async def test_since_is_inclusive_and_until_is_not(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    events = _newest_first(busy_workspace.events())
    since, until = events[20].occurred_at, events[10].occurred_at

    page = await list_audit_events(
        async_connection, busy_workspace.tenant_id, ListAuditEvents(since=since, until=until, limit=100)
    )

    assert page.items == events[11:21]


async def test_events_that_arrive_while_pages_are_read_move_nothing(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    before = _newest_first(busy_workspace.events())

    found = await read_all(
        partial(list_audit_events, async_connection, busy_workspace.tenant_id),
        ListAuditEvents(limit=3),
        between=lambda: busy_workspace.execute(*busy_workspace.accept(CreateTask(title="Late"))),
    )

    assert found == before


async def test_the_trail_of_a_busy_task_grows_at_its_end_while_it_is_read(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    task_id = workspace.create()
    workspace.execute(*workspace.update(task_id, *["completed", "open"] * 5))
    left = iter(["completed", "open"] * 2)

    def update() -> None:
        workspace.execute(*workspace.update(task_id, *[status for status in [next(left, None)] if status]))

    found = await read_all(
        partial(list_audit_events, async_connection, workspace.tenant_id),
        ListAuditEvents(task_id=task_id, limit=3),
        between=update,
    )

    assert found == workspace.events(task_id)
    assert len(found) == 15


async def test_a_cursor_serves_no_other_filter_and_no_other_workspace(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    page = await list_audit_events(async_connection, busy_workspace.tenant_id, ListAuditEvents(limit=2))
    cursor = page.next_cursor
    assert cursor is not None

    with pytest.raises(ValidationFailed):
        await list_audit_events(async_connection, stranger.tenant_id, ListAuditEvents(cursor=cursor))
    with pytest.raises(ValidationFailed):
        await list_audit_events(
            async_connection, busy_workspace.tenant_id, ListAuditEvents(cursor=cursor, outcome="failed")
        )


async def test_another_workspace_sees_nothing(
    busy_workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    task_id = busy_workspace.tasks()[0].id

    page = await list_audit_events(async_connection, stranger.tenant_id, ListAuditEvents(task_id=task_id))

    assert page.items == []


async def test_events_of_one_batch_are_a_microsecond_apart(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    workspace.execute(*workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(10)]))

    times = [event.occurred_at for event in workspace.events()]

    assert times == [times[0] + timedelta(microseconds=number) for number in range(10)]


def test_the_database_refuses_a_second_event_of_a_request(workspace: Workspace) -> None:
    workspace.create()
    (event,) = workspace.events()

    with pytest.raises(UniqueViolation):
        append_events(workspace.connection, [event])


@pytest.mark.parametrize(
    "members",
    [
        {"limit": 0},
        {"limit": 101},
        {"outcome": "done"},
        {"since": "2026-12-01"},
        {"until": None},
        {"task_id": ""},
        {"actor": "usr_1"},
    ],
    ids=str,
)
def test_arguments_outside_the_contract_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListAuditEvents.model_validate(members)
