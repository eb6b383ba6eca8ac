"""Logging an activity: what it takes, what it needs, and in whose line it waits."""

from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection
from pydantic import ValidationError

from core.activity.commands import LogActivity
from core.activity.model import Activity
from core.activity.queries import ListActivities, get_activities, list_activities
from core.tasks.commands import CreateTask
from core.tenancy.model import Caller
from tests.workspaces import Workspace


def _log(**members: Any) -> LogActivity:
    return LogActivity.model_validate({"type": "note", "body": "Asked about pricing."} | members)


async def _activities(connection: AsyncConnection[Any], workspace: Workspace, **filters: Any) -> list[Activity]:
    return (await list_activities(connection, workspace.tenant_id, ListActivities(**filters))).items


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"type": "fax"}, "type"),
        ({"body": ""}, "body"),
        ({"body": " \t"}, "body"),
        ({"body": "x" * 20_001}, "body"),
        ({"body": "\x00"}, "body"),
        ({"occurred_at": "2026-11-23T09:00:00"}, "occurred_at"),
        ({"related_resource_type": "contact"}, ""),
        ({"related_resource_id": "con_1"}, ""),
        ({"related_resource_type": "task", "related_resource_id": "t"}, "related_resource_type"),
        ({"task_id": ""}, "task_id"),
        ({"task_id": None}, "task_id"),
        ({"subject": "x"}, "subject"),
    ],
)
def test_what_is_not_acceptable_is_refused_by_field(members: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _log(**members)

    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [field]


async def test_an_activity_is_logged_with_who_and_when(
    workspace: Workspace, agent: Caller, async_connection: AsyncConnection[Any]
) -> None:
    workspace.link("contact", "con_1")
    linked = {"related_resource_type": "contact", "related_resource_id": "con_1"}
    (receipt,) = workspace.accept(_log(type="email", **linked), caller=agent, source="mcp")
    workspace.execute(receipt)

    (activity,) = await _activities(async_connection, workspace)
    assert (activity.type, activity.body, activity.linked_resource) == (
        "email",
        "Asked about pricing.",
        ("contact", "con_1"),
    )
    assert (activity.actor_id, activity.actor_type, activity.source) == ("agt_1", "agent", "mcp")
    assert activity.occurred_at == activity.created_at
    assert await get_activities(async_connection, workspace.tenant_id, [activity.id]) == [activity]
    event = workspace.event(receipt)
    assert (event.action, event.outcome, event.target_type, event.target_id) == (
        "activity.log",
        "applied",
        "contact",
        "con_1",
    )
    assert (event.linked_resource_type, event.linked_resource_id) == ("contact", "con_1")


async def test_what_happened_before_keeps_its_time(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    workspace.execute(*workspace.accept(_log(occurred_at="2026-11-20T10:00:00+01:00")))

    (activity,) = await _activities(async_connection, workspace)
    assert activity.occurred_at == datetime(2026, 11, 20, 9, tzinfo=UTC)


async def test_an_activity_of_a_task_is_in_the_tasks_trail_and_changes_nothing_of_it(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    task_id = workspace.create()
    before = workspace.task(task_id)

    workspace.execute(*workspace.accept(_log(type="call", task_id=task_id)))

    assert workspace.task(task_id) == before
    assert [event.action for event in workspace.events(task_id)] == ["task.create", "activity.log"]
    logged = workspace.events(task_id)[1]
    assert (logged.previous_status, logged.new_status) == ("open", "open")
    assert [each.task_id for each in await _activities(async_connection, workspace, task_id=task_id)] == [task_id]


async def test_an_activity_waits_behind_the_creation_of_its_task(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    (created,) = workspace.accept(CreateTask(title="Call Jane"))
    (logged,) = workspace.accept(_log(task_id=created.target_id))

    workspace.execute(logged)

    assert workspace.statuses([created, logged]) == ["succeeded", "succeeded"]
    assert len(await _activities(async_connection, workspace)) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"task_id": "task_none"},
        {"related_resource_type": "contact", "related_resource_id": "con_none"},
        {"related_resource_type": "contact", "related_resource_id": "con_1", "task_id": "task_none"},
    ],
)
async def test_what_it_is_linked_to_must_exist(
    workspace: Workspace, async_connection: AsyncConnection[Any], members: dict[str, Any]
) -> None:
    workspace.link("contact", "con_1")
    (receipt,) = workspace.accept(_log(**members))
    workspace.execute(receipt)

    error = workspace.request(receipt).error
    assert error is not None
    assert error["code"] == "resource_not_found"
    assert workspace.event(receipt).outcome == "failed"
    assert await _activities(async_connection, workspace) == []


async def test_activities_are_listed_newest_first_and_by_what_they_are_about(
    workspace: Workspace, stranger: Caller, async_connection: AsyncConnection[Any]
) -> None:
    workspace.link("deal", "deal_1")
    linked = {"related_resource_type": "deal", "related_resource_id": "deal_1"}
    days = [f"2026-11-{day}T09:00:00Z" for day in (21, 23, 22)]
    workspace.execute(*workspace.accept(*[_log(occurred_at=day) for day in days], _log(type="meeting", **linked)))

    first = await list_activities(async_connection, workspace.tenant_id, ListActivities(limit=3, type="note"))
    assert [activity.occurred_at.day for activity in first.items] == [23, 22, 21]
    assert len(await _activities(async_connection, workspace, **linked)) == 1
    elsewhere = Workspace(workspace.settings, workspace.connection, stranger)
    assert await _activities(async_connection, elsewhere) == []
