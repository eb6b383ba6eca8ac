"""Writes over MCP: what a call answers, and what becomes of the write whatever happens to the call."""

import asyncio

import pytest

from api import calls
from core.settings import Settings
from core.tenancy.model import Caller
from tests.api.conftest import MakeToken
from tests.api.serving import Worker, serving
from tests.api.speaking import ERAS, Json, answer_of, call, client, problem_of
from tests.workspaces import Workspace

UNKNOWN = "task_00000000000000000000000000"


@pytest.fixture(autouse=True)
def _executed(worker: Worker) -> None:
    """Every test here needs somebody who executes."""


async def create(url: str, token: str, **members: object) -> Json:
    task: Json = answer_of(await call(url, token, "create_task", {"title": "Call Jane", **members}))["task"]
    return task


async def test_complete_task_is_the_same_write_as_update_task_with_status_completed(url: str, token: str) -> None:
    task = await create(url, token)
    note = {"task_id": task["id"], "completed_note": "Jane replied.", "idempotency_key": "done-1"}
    first = answer_of(await call(url, token, "complete_task", note))
    again = answer_of(await call(url, token, "update_task", {**note, "status": "completed"}))
    assert again == first
    assert first["task"]["revision"] == 2


async def test_a_repeated_create_makes_one_task(url: str, token: str, workspace: Workspace) -> None:
    first, again = [await create(url, token, idempotency_key="k1") for _ in range(2)]
    assert again == first
    assert [task.id for task in workspace.tasks()] == [first["id"]]


@pytest.mark.parametrize("mode", ERAS)
async def test_one_key_in_many_calls_at_once_makes_one_task(
    url: str, token: str, workspace: Workspace, mode: str
) -> None:
    async with client(url, token, mode) as connected:
        arguments = {"title": "Call Jane", "idempotency_key": "k1"}
        results = await asyncio.gather(*(connected.call_tool("create_task", arguments) for _ in range(30)))
    first, *others = map(answer_of, results)
    assert others == 29 * [first]
    assert [task.id for task in workspace.tasks()] == [first["task"]["id"]]


async def test_another_write_under_a_used_key_is_a_conflict_and_changes_nothing(
    url: str, token: str, workspace: Workspace
) -> None:
    await create(url, token, idempotency_key="k1")
    other = await call(url, token, "create_task", {"title": "Call Joe", "idempotency_key": "k1"})
    assert problem_of(other)["code"] == "idempotency_conflict"
    assert len(workspace.tasks()) == 1


async def test_a_write_is_accepted_under_the_request_id_of_its_call_and_from_mcp(
    url: str, token: str, workspace: Workspace
) -> None:
    created = answer_of(await call(url, token, "create_task", {"title": "Call Jane"}))
    (event,) = workspace.events()
    assert (event.request_id, event.source, event.actor_id) == (created["request_id"], "mcp", "agt_1")


@pytest.mark.parametrize("tool", ["complete_task", "update_task"])
async def test_completing_a_task_that_does_not_exist_fails_and_is_audited(url: str, token: str, tool: str) -> None:
    arguments = {"task_id": UNKNOWN} | ({"status": "completed"} if tool == "update_task" else {})
    problem = problem_of(await call(url, token, tool, arguments))
    assert (problem["code"], problem["status"], problem["instance"]) == ("resource_not_found", 404, "/mcp")
    found = answer_of(await call(url, token, "list_audit_events", {"request_id": problem["request_id"]}))
    (event,) = found["audit_events"]
    assert (event["action"], event["outcome"], event["task_id"]) == ("task.complete", "failed", UNKNOWN)
    assert event["error"]["code"] == "resource_not_found"


async def test_a_transition_that_is_not_allowed_is_an_error_of_the_call(url: str, token: str) -> None:
    task = await create(url, token)
    await call(url, token, "update_task", {"task_id": task["id"], "status": "canceled"})
    problem = problem_of(await call(url, token, "complete_task", {"task_id": task["id"]}))
    assert (problem["code"], problem["retryable"]) == ("invalid_status_transition", False)


async def test_nothing_of_another_workspace_can_be_seen_linked_or_changed(
    url: str, make_token: MakeToken, stranger: Caller, workspace: Workspace, token: str
) -> None:
    workspace.link("contact", "con_123")
    created = answer_of(await call(url, token, "create_task", {"title": "Call Jane"}))
    task_id, theirs = created["task"]["id"], make_token(tenant_id=stranger.tenant_id)
    refused = {
        "get_task": {"task_id": task_id},
        "get_request": {"request_id": created["request_id"]},
        "update_task": {"task_id": task_id, "status": "canceled"},
        "complete_task": {"task_id": task_id},
        "create_task": {"title": "X", "related_resource_type": "contact", "related_resource_id": "con_123"},
    }
    for tool, arguments in refused.items():
        assert problem_of(await call(url, theirs, tool, arguments))["code"] == "resource_not_found", tool
    assert answer_of(await call(url, theirs, "list_tasks"))["tasks"] == []
    events = answer_of(await call(url, theirs, "list_audit_events", {"task_id": task_id}))["audit_events"]
    seen = {(event["tenant_id"], event["outcome"], event["previous_status"]) for event in events}
    assert seen == {(stranger.tenant_id, "failed", None)}
    assert workspace.task(task_id).status == "open"


async def finished(url: str, token: str, request_id: str) -> Json:
    """Poll a request as an agent would, until it is finished."""
    while True:
        request: Json = answer_of(await call(url, token, "get_request", {"request_id": request_id}))["request"]
        if request["status"] != "queued":
            return request
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_write_that_takes_too_long_is_answered_as_queued_and_executed_later(
    settings: Settings, url: str, token: str, worker: Worker, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_PROGRESS_SECONDS", 0.05)
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    with serving(settings, mcp_wait=1.0) as impatient:
        async with client(impatient, token, mode) as connected:
            await connected.list_tools()
            with worker.frozen():
                called = await connected.call_tool("create_task", {"title": "Later"}, progress_callback=hear)
            queued = answer_of(called)
    task_id, request_id = queued["task"]["id"], queued["request_id"]
    assert queued == {"task": {"id": task_id}, "request_id": request_id, "request_status": "queued"}
    assert heard
    assert set(heard) == {"Waiting for the write to be executed"}
    request = await finished(url, token, request_id)
    assert (request["status"], request["task_id"], request["command"]) == ("succeeded", task_id, "task.create")
    assert answer_of(await call(url, token, "get_task", {"task_id": task_id}))["task"]["title"] == "Later"


async def test_get_task_shows_the_writes_that_are_still_in_line(
    settings: Settings, url: str, token: str, worker: Worker
) -> None:
    task = await create(url, token)
    with serving(settings, mcp_wait=0) as impatient, worker.frozen():
        statuses = ("completed", "open")
        queued = [
            answer_of(await call(impatient, token, "update_task", {"task_id": task["id"], "status": status}))
            for status in statuses
        ]
        shown = answer_of(await call(url, token, "get_task", {"task_id": task["id"]}))
    assert shown["task"] == task
    assert [each["id"] for each in shown["pending"]] == [each["request_id"] for each in queued]
    assert {each["status"] for each in shown["pending"]} == {"queued"}


@pytest.mark.parametrize("mode", ERAS)
async def test_a_cancelled_call_does_not_cancel_its_write(
    url: str, token: str, worker: Worker, workspace: Workspace, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_PROGRESS_SECONDS", 0.05)
    waiting = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        waiting.set()

    async with client(url, token, mode) as connected:
        with worker.frozen():
            arguments = {"title": "Call Jane", "idempotency_key": "k1"}
            calling = asyncio.create_task(connected.call_tool("create_task", arguments, progress_callback=hear))
            await waiting.wait()
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        again = answer_of(await connected.call_tool("create_task", arguments))
    assert again["request_status"] == "succeeded"
    assert [task.id for task in workspace.tasks()] == [again["task"]["id"]]


async def test_the_list_is_paged_and_filtered_as_over_http(url: str, token: str) -> None:
    made = [await create(url, token, title=f"Task {number}", assignee_id="usr_1") for number in range(3)]
    await create(url, token, assignee_id="usr_2")
    first = answer_of(await call(url, token, "list_tasks", {"assignee_id": "usr_1", "limit": 2}))
    again = {"assignee_id": "usr_1", "limit": 2, "cursor": first["next_cursor"]}
    second = answer_of(await call(url, token, "list_tasks", again))
    assert first["tasks"] + second["tasks"] == made[::-1]
    assert "next_cursor" not in second
    changed = await call(url, token, "list_tasks", {**again, "assignee_id": "usr_2"})
    assert [each["field"] for each in problem_of(changed)["field_errors"]] == ["cursor"]
