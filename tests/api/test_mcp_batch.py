"""Many tasks in one call: each is created or refused by itself."""

from collections.abc import Sequence

import pytest
from dirty_equals import IsPartialDict, IsStr

from api import calls
from core.settings import Settings
from tests.api.serving import Worker, serving
from tests.api.speaking import ERAS, Json, answer_of, call, client
from tests.workspaces import Workspace

REQUEST_ID = IsStr(regex="req_[0-9a-z]{26}")


@pytest.fixture(autouse=True)
def _executed(worker: Worker) -> None:
    """Every test here needs somebody who executes."""


async def create(url: str, token: str, *tasks: object) -> list[Json]:
    """Create tasks; return the results."""
    return checked(answer_of(await call(url, token, "create_tasks", {"tasks": tasks})), tasks)


def checked(answer: Json, tasks: Sequence[object]) -> list[Json]:
    results: list[Json] = answer["results"]
    assert len(results) == len(tasks)
    assert answer["rejected"] == sum("request_id" not in result for result in results)
    assert answer["accepted"] == len(results) - answer["rejected"]
    assert answer["request_id"] == REQUEST_ID
    return results


@pytest.mark.parametrize("mode", ERAS)
async def test_fifty_tasks_are_created_by_one_call_in_their_order(
    url: str, token: str, workspace: Workspace, mode: str
) -> None:
    tasks = [{"title": f"Task {number}", "assignee_id": f"usr_{number}"} for number in range(50)]
    async with client(url, token, mode) as connected:
        await connected.list_tools()  # from then on the client checks answers against the output schemas
        results = checked(answer_of(await connected.call_tool("create_tasks", {"tasks": tasks})), tasks)
    assert {result["request_status"] for result in results} == {"succeeded"}
    assert [{name: result["task"][name] for name in ("title", "assignee_id")} for result in results] == tasks
    assert {result["task"]["source"] for result in results} == {"mcp"}
    assert {event.request_id for event in workspace.events()} == {result["request_id"] for result in results}
    assert len(workspace.tasks()) == 50


@pytest.mark.parametrize("mode", ERAS)
async def test_a_task_that_cannot_be_created_says_why_in_its_place(
    url: str, token: str, workspace: Workspace, mode: str
) -> None:
    linked = {"related_resource_type": "contact", "related_resource_id": "con_nobody"}
    tasks = [{"title": "One"}, {"title": " "}, {"title": "Two", **linked}, {"title": "Three", "nope": 1}, "Four"]
    async with client(url, token, mode) as connected:
        await connected.list_tools()
        results = checked(answer_of(await connected.call_tool("create_tasks", {"tasks": tasks})), tasks)
    one, blank, unlinked, unknown, text = results
    assert one == IsPartialDict(task=IsPartialDict(title="One"), request_status="succeeded")
    assert unlinked == IsPartialDict(request_id=REQUEST_ID, request_status="failed")
    assert unlinked["error"] == IsPartialDict(code="resource_not_found", instance="/mcp#/tasks/2")
    refused = [blank, unknown, text]
    assert [set(result) for result in refused] == [{"error"}] * 3
    assert {result["error"]["code"] for result in refused} == {"validation_failed"}
    fields = [[each["field"] for each in result["error"]["field_errors"]] for result in refused]
    assert fields == [["title"], ["nope"], ["body"]]
    assert [task.title for task in workspace.tasks()] == ["One"]


async def test_a_call_that_is_repeated_with_keys_creates_nothing_twice(
    url: str, token: str, workspace: Workspace
) -> None:
    first = await create(url, token, {"title": "One", "idempotency_key": "k1"}, {"title": "Two"})
    again = await create(url, token, {"title": "One", "idempotency_key": "k1"}, {"title": "1", "idempotency_key": "k1"})
    assert again[0] == first[0] | {"idempotent_replayed": True}
    assert again[1]["error"]["code"] == "idempotency_conflict"
    assert [task.title for task in workspace.tasks()] == ["One", "Two"]


async def test_tasks_that_take_too_long_are_answered_as_queued_and_created_later(
    settings: Settings, url: str, token: str, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_PROGRESS_SECONDS", 0.05)
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    arguments = {"tasks": [{"title": "One", "idempotency_key": "k1"}, {"title": ""}]}
    with serving(settings, mcp_wait=1.0) as impatient:
        async with client(impatient, token) as connected:
            await connected.list_tools()
            with worker.frozen():
                called = await connected.call_tool("create_tasks", arguments, progress_callback=hear)
    queued, refused = checked(answer_of(called), arguments["tasks"])
    assert queued == IsPartialDict(request_status="queued", request_id=REQUEST_ID)
    assert set(refused) == {"error"}
    assert set(heard) == {"Waiting for the writes to be executed"}
    (created, _) = checked(answer_of(await call(url, token, "create_tasks", arguments)), arguments["tasks"])
    assert created == IsPartialDict(
        task=IsPartialDict(id=queued["task"]["id"], title="One"), request_status="succeeded"
    )
