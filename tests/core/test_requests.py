"""The status document that a client polls."""

from typing import Any

from psycopg import AsyncConnection

from core.requests import get_request_by_key, get_requests, list_pending, waiting_longer_than
from core.tasks.commands import CreateTask, UpdateTask
from core.tenancy.model import Caller
from tests.workspaces import Workspace


async def test_a_request_is_known_from_its_receipt_on(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))

    (queued,) = await get_requests(async_connection, workspace.tenant_id, [receipt.request_id])
    assert (queued.status, queued.finished, queued.finished_at, queued.audit_event_id) == ("queued", False, None, None)
    assert (queued.task_id, queued.accepted_at, queued.attempts) == (receipt.target_id, receipt.accepted_at, 0)

    workspace.execute(receipt)

    (done,) = await get_requests(async_connection, workspace.tenant_id, [receipt.request_id])
    assert (done.status, done.finished, done.error, done.attempts) == ("succeeded", True, None, 1)
    assert done.finished_at is not None
    assert done.finished_at >= done.accepted_at


async def test_an_unknown_request_and_one_of_another_tenant_are_not_found(
    workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"), idempotency_key="k")

    assert await get_requests(async_connection, workspace.tenant_id, ["req_none"]) == []
    assert await get_requests(async_connection, stranger.tenant_id, [receipt.request_id]) == []
    assert await get_request_by_key(async_connection, workspace.tenant_id, "l") is None
    assert await get_request_by_key(async_connection, stranger.tenant_id, "k") is None


async def test_a_request_is_found_by_its_key(workspace: Workspace, async_connection: AsyncConnection[Any]) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"), idempotency_key="k")

    found = await get_request_by_key(async_connection, workspace.tenant_id, "k")

    assert [found] == await get_requests(async_connection, workspace.tenant_id, [receipt.request_id])


async def test_of_many_requests_those_of_the_tenant_are_found(
    workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    mine = [receipt.request_id for receipt in workspace.accept(CreateTask(title="One"), CreateTask(title="Two"))]
    elsewhere = Workspace(workspace.settings, workspace.connection, stranger)
    (theirs,) = elsewhere.accept(CreateTask(title="Three"))

    found = await get_requests(async_connection, workspace.tenant_id, [*mine, theirs.request_id, "req_none"])

    assert {request.id for request in found} == set(mine)


async def test_what_is_pending_for_a_task_is_listed_in_the_order_in_which_it_will_take_effect(
    workspace: Workspace, async_connection: AsyncConnection[Any], stranger: Caller
) -> None:
    task_id = workspace.create()
    line = workspace.update(task_id, *["completed", "open"] * 60)
    workspace.update("task_other", "completed")

    pending = await list_pending(async_connection, workspace.tenant_id, task_id)

    assert [request.id for request in pending] == [receipt.request_id for receipt in line[:100]]
    assert await list_pending(async_connection, stranger.tenant_id, task_id) == []

    workspace.execute(*line)

    assert await list_pending(async_connection, workspace.tenant_id, task_id) == []


async def test_a_failed_request_carries_the_problem(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    (receipt,) = workspace.accept(UpdateTask(task_id="task_none", status="completed"))
    workspace.execute(receipt)

    (request,) = await get_requests(async_connection, workspace.tenant_id, [receipt.request_id])

    assert request.error == {
        "type": "urn:baton:problem:resource_not_found",
        "title": "No such resource in this workspace",
        "status": 404,
        "detail": "There is no task task_none in this workspace.",
        "instance": f"/v1/requests/{receipt.request_id}",
        "code": "resource_not_found",
        "request_id": receipt.request_id,
        "retryable": False,
    }


def test_who_waits_for_long_is_counted_by_lane(workspace: Workspace) -> None:
    before = {lane: count for lane, count, _ in waiting_longer_than(workspace.connection, 3600)}
    (old,) = workspace.accept(CreateTask(title="Call Jane"), lane="bulk")
    workspace.accept(CreateTask(title="Call Joe"), lane="bulk")
    workspace.connection.execute(
        "UPDATE requests SET accepted_at = now() - interval '10 years' WHERE (tenant_id, id) = (%s, %s)",
        (workspace.tenant_id, old.request_id),
    )

    waiting = {lane: (count, longest) for lane, count, longest in waiting_longer_than(workspace.connection, 3600)}

    assert waiting["bulk"][0] == before.get("bulk", 0) + 1
    assert waiting["bulk"][1] > 9 * 365 * 24 * 3600
    workspace.execute(old)
