"""Many commands in one body: each is accepted or refused by itself, and those of one task keep their order."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr
from psycopg import AsyncConnection, Connection

import core.intake
from core.acceptance import Submission, accept
from core.settings import Settings
from tests.api.asking import WAIT, Api, Json, accepted, problem_of, refused_fields
from tests.api.serving import Worker, serving
from tests.concurrency import beside, wait_until

PATH = "/v1/tasks/batch"
TASK_ID = IsStr(regex="task_[0-9a-z]{26}")
REQUEST_ID = IsStr(regex="req_[0-9a-z]{26}")
RECEIPT = {"task": {"id": TASK_ID}, "request_id": REQUEST_ID, "request_status": "queued"}
KEY = {"Idempotency-Key": "batch-1"}


def create(title: str = "Call Jane", **members: object) -> Json:
    return {"command": "task.create", "title": title, **members}


def update(task_id: str, status: str, **members: object) -> Json:
    return {"command": "task.update", "task_id": task_id, "status": status, **members}


def submit(api: Api, *commands: object, headers: dict[str, str] | None = None) -> list[Json]:
    """Send commands of which some are accepted; return the results."""
    batch = accepted(api.post(PATH, {"commands": commands}, headers=headers or {}))
    return checked(batch, commands)


def execute(api: Api, *commands: object, headers: dict[str, str] | None = None) -> list[Json]:
    """Send commands and wait for what comes of them; return the results."""
    response = api.post(PATH, {"commands": commands}, headers={**WAIT, **(headers or {})})
    assert response.status_code == 200, response.text
    return checked(response.json(), commands)


def checked(batch: Json, commands: Sequence[object]) -> list[Json]:
    results: list[Json] = batch["results"]
    assert len(results) == len(commands)
    assert batch["rejected"] == sum("request_id" not in result for result in results)
    assert batch["accepted"] == len(results) - batch["rejected"]
    assert batch["request_id"] == REQUEST_ID
    return results


def codes(results: Sequence[Json]) -> list[str | None]:
    return [result["error"]["code"] if "error" in result else None for result in results]


def lanes_of(connection: Connection[Any], tenant_id: str) -> list[tuple[str, int]]:
    return connection.execute(
        "SELECT lane, count(*) FROM requests WHERE tenant_id = %s GROUP BY lane", (tenant_id,)
    ).fetchall()


def test_creates_and_updates_come_together_and_each_has_its_receipt(api: Api) -> None:
    task_id = api.create()["id"]

    response = api.post(PATH, {"commands": [create("One"), update(task_id, "completed"), create("Two")]})

    batch = accepted(response)
    assert batch == {
        "results": [RECEIPT, RECEIPT | {"task": {"id": task_id}}, RECEIPT],
        "accepted": 3,
        "rejected": 0,
        "request_id": REQUEST_ID,
    }
    assert response.headers["retry-after"] == "1"
    assert len({result["request_id"] for result in batch["results"]} | {batch["request_id"]}) == 4
    requests = [api.finished(result["request_id"]) for result in batch["results"]]
    assert [(each["status"], each["command"]) for each in requests] == [
        ("succeeded", "task.create"),
        ("succeeded", "task.update"),
        ("succeeded", "task.create"),
    ]
    found = {task["title"]: task["status"] for task in api.get("/v1/tasks").json()["tasks"]}
    assert found == {"One": "open", "Two": "open", "Call Jane": "completed"}


@pytest.mark.parametrize("updates", [7, 301])
def test_the_commands_of_a_task_take_effect_in_their_order_in_either_lane(api: Api, updates: int) -> None:
    task_id = api.create()["id"]
    statuses = ["completed", "open"] * (updates // 2) + ["canceled"]

    results = submit(api, *[update(task_id, status) for status in statuses])

    assert api.finished(results[-1]["request_id"])["status"] == "succeeded"
    assert api.get(f"/v1/tasks/{task_id}").json()["task"] == IsPartialDict(status="canceled", revision=updates + 1)
    events = api.get(f"/v1/tasks/{task_id}/audit-events", limit=100).json()["audit_events"]
    assert [event["new_status"] for event in events[1:]] == statuses[: len(events) - 1]
    assert [event["request_id"] for event in events[1:]] == [
        result["request_id"] for result in results[: len(events) - 1]
    ]


def test_a_command_that_does_not_fit_is_refused_alone_and_in_its_place(api: Api) -> None:
    commands: list[object] = [
        create("One"),
        create(" "),
        create("x" * 501, due_at="soon", nope=1),
        update("task_1", "done"),
        create("Two", task_id="task_1"),
        create("Three", idempotency_key="two words"),
        {"title": "Four"},
        {"command": "task.delete", "task_id": "task_1"},
        {"command": ["task.create"], "title": "Five"},
        {"command": "task.create"},
        "task.create",
        None,
        [],
        create("Six"),
    ]

    response = api.post(PATH, {"commands": commands})

    batch = accepted(response)
    results = checked(batch, commands)
    assert [set(result) for result in results] == [{*RECEIPT}, *[{"error"}] * 12, {*RECEIPT}]
    for place, result in enumerate(results[1:-1], 1):
        problem_of(_as_response(result["error"]), 422, "validation_failed")
        assert result["error"]["instance"] == f"/v1/tasks/batch#/commands/{place}"
        assert result["error"]["request_id"] == batch["request_id"]
    assert [{each["field"] for each in result["error"]["field_errors"]} for result in results[1:-1]] == [
        {"title"},
        {"title", "due_at", "nope"},
        {"status"},
        {"task_id"},
        {"idempotency_key"},
        *[{"command"}] * 3,
        {"title"},
        *[{"body"}] * 3,
    ]
    assert api.finished(results[-1]["request_id"])["status"] == "succeeded"
    assert [task["title"] for task in api.get("/v1/tasks").json()["tasks"]] == ["Six", "One"]


def _as_response(problem: Json) -> httpx.Response:
    """Return the answer that the command would have had by itself."""
    headers = {"content-type": "application/problem+json", "x-request-id": problem["request_id"]}
    return httpx.Response(problem["status"], headers=headers, content=json.dumps(problem))


@pytest.mark.usefixtures("nothing_is_accepted")
def test_where_every_command_is_refused_nothing_is_left_to_look_for(api: Api) -> None:
    response = api.post(PATH, {"commands": [create(""), create("\0")]})

    assert response.status_code == 200
    assert codes(checked(response.json(), [None] * 2)) == ["validation_failed"] * 2
    assert "retry-after" not in response.headers
    assert "preference-applied" not in response.headers


def test_a_batch_that_waits_is_answered_with_each_task_or_why_there_is_none(api: Api, stranger_api: Api) -> None:
    mine, theirs = api.create()["id"], stranger_api.create()["id"]
    commands = [create("One"), update(mine, "completed"), update(mine, "canceled"), update(theirs, "canceled"), {}]

    response = api.post(PATH, {"commands": commands}, headers=WAIT)

    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=30"
    results = checked(response.json(), commands)
    assert codes(results) == [None, None, "invalid_status_transition", "resource_not_found", "validation_failed"]
    one, completed, failed, foreign, _ = results
    assert one == IsPartialDict(task=IsPartialDict(title="One", revision=1), request_status="succeeded")
    assert completed == IsPartialDict(task=api.get(f"/v1/tasks/{mine}").json()["task"], request_status="succeeded")
    assert failed == IsPartialDict(task={"id": mine}, request_id=REQUEST_ID, request_status="failed")
    assert failed["error"] == IsPartialDict(
        request_id=failed["request_id"], from_status="completed", instance="/v1/tasks/batch#/commands/2"
    )
    assert foreign == IsPartialDict(task={"id": theirs}, request_status="failed")
    assert stranger_api.get(f"/v1/tasks/{theirs}").json()["task"]["status"] == "open"
    trail = api.get("/v1/audit-events", task=theirs).json()["audit_events"]
    assert [(event["outcome"], event["previous_status"]) for event in trail] == [("failed", None)]


def test_a_batch_that_waits_in_vain_is_answered_with_receipts(api: Api, worker: Worker) -> None:
    with worker.frozen():
        response = api.post(PATH, {"commands": [create(), create("")]}, headers={"Prefer": "wait=1"})

    receipt, refused = checked(accepted(response), [None] * 2)
    assert "preference-applied" not in response.headers
    assert (receipt, set(refused)) == (RECEIPT, {"error"})
    assert api.finished(receipt["request_id"])["status"] == "succeeded"


def test_the_same_batch_again_under_its_key_is_answered_with_the_first_receipts(api: Api) -> None:
    commands = [create("One"), create("Two", idempotency_key="own"), create(""), create("Three")]
    first = submit(api, *commands, headers=KEY)
    assert all("idempotent_replayed" not in result for result in first)

    again = submit(api, *commands, headers=KEY)
    waited = execute(api, *commands, headers=KEY)

    replayed = [result | {"idempotent_replayed": True} for result in first if "request_id" in result]
    assert [result for result in again if "request_id" in result] == replayed
    assert [result["idempotent_replayed"] for result in waited if "request_id" in result] == [True] * 3
    assert [result["request_id"] for result in waited if "request_id" in result] == [
        result["request_id"] for result in replayed
    ]
    assert len(api.get("/v1/tasks").json()["tasks"]) == 3
    for place, key in ((0, "batch-1/0"), (1, "own"), (3, "batch-1/3")):
        found = api.get("/v1/requests", idempotency_key=key).json()["request"]
        assert found["id"] == first[place]["request_id"]


def test_a_replay_that_waits_finds_what_is_still_queued(api: Api, worker: Worker) -> None:
    with worker.frozen():
        first = submit(api, create("One"), headers=KEY)

    results = execute(api, create("One"), create("Two"), headers=KEY)

    assert [result["task"]["title"] for result in results] == ["One", "Two"]
    assert results[0]["request_id"] == first[0]["request_id"]


def test_another_command_under_a_known_key_is_a_conflict_of_its_own(api: Api) -> None:
    submit(api, create("One"), create("Two"), headers=KEY)

    results = submit(api, create("One"), create("Another"), create("Three"), headers=KEY)

    assert codes(results) == [None, "idempotency_conflict", None]
    problem_of(_as_response(results[1]["error"]), 409, "idempotency_conflict")
    assert results[1]["error"]["instance"] == "/v1/tasks/batch#/commands/1"


def test_of_one_key_in_two_commands_the_first_has_it(api: Api) -> None:
    commands = [create("One", idempotency_key="k"), create("One", idempotency_key="k")]

    results = execute(api, *commands, create("Two", idempotency_key="k"))

    assert codes(results) == [None, None, "idempotency_conflict"]
    assert results[1] == results[0] | {"idempotent_replayed": True}
    assert len(api.get("/v1/tasks").json()["tasks"]) == 1


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize("key", ["", "two words", "é", "k" * 252], ids=lambda key: key[:10])
def test_a_key_that_leaves_no_room_for_places_is_refused_once(api: Api, key: str) -> None:
    response = api.post(PATH, {"commands": [create(), create()]}, headers={"Idempotency-Key": key})

    assert refused_fields(response) == {"idempotency_key"}


def test_the_longest_key_of_a_batch_makes_keys_that_are_found(api: Api) -> None:
    (result,) = submit(api, create(), headers={"Idempotency-Key": "k" * 251})

    found = api.get("/v1/requests", idempotency_key="k" * 251 + "/0").json()["request"]
    assert found["id"] == result["request_id"]


def test_a_thousand_commands_are_accepted_and_executed(api: Api, connection: Connection[Any], tenant: str) -> None:
    results = execute(api, *[create(f"Task {number}") for number in range(1_000)])

    assert [result["task"]["title"] for result in results] == [f"Task {number}" for number in range(1_000)]
    assert lanes_of(connection, tenant) == [("bulk", 1_000)]


@pytest.mark.parametrize(("commands", "lane"), [(100, "interactive"), (101, "bulk")])
def test_only_a_large_batch_leaves_the_lane_of_single_writes(
    api: Api, connection: Connection[Any], tenant: str, commands: int, lane: str
) -> None:
    execute(api, *[create()] * commands)

    assert lanes_of(connection, tenant) == [(lane, commands)]


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({}, {"commands"}),
        ({"commands": []}, {"commands"}),
        ({"commands": [create()] * 1_001}, {"commands"}),
        ({"commands": None}, {"commands"}),
        ({"commands": create()}, {"commands"}),
        ({"commands": "task.create"}, {"commands"}),
        ({"commands": [create()], "idempotency_key": "k"}, {"idempotency_key"}),
        ({"commands": 5, "nope": 1}, {"commands", "nope"}),
        ([create()], {"body"}),
        (create(), {"commands", "command", "title"}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(api: Api, members: object, fields: set[str]) -> None:
    assert refused_fields(api.post(PATH, members)) == fields


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {"body"}),
        (b'{"commands": [', {"body"}),
        (b'{"commands": [{"command": "task.create", "title": "\xff"}]}', {"body"}),
        (b"[" * 100_000, {"body"}),
        (b'{"commands": [{"command": "task.create", "title": "x", "title": "y"}]}', {"title"}),
        (b'{"commands": [], "commands": [{"command": "task.create", "title": "x"}]}', {"commands"}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_can_be_understood_in_two_ways_or_none_is_refused_as_a_whole(
    api: Api, body: bytes, fields: set[str]
) -> None:
    assert refused_fields(api.send("POST", PATH, content=body)) == fields


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_batch_is_no_task(api: Api, method: str) -> None:
    response = api.send(method, PATH, json={"status": "completed"})

    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.usefixtures("nothing_is_accepted")
def test_a_parameter_that_would_mean_nothing_is_refused(api: Api) -> None:
    assert refused_fields(api.post(f"{PATH}?idempotency_key=k", {"commands": [create()]})) == {"idempotency_key"}


def test_a_batch_may_be_larger_than_one_write_and_not_without_end(api: Api) -> None:
    long = [create(description="x" * 20_000) for _ in range(100)]
    assert api.post("/v1/tasks", {"title": "x" * 2_000_000}).status_code == 413

    execute(api, *long)
    problem = problem_of(api.post(PATH, {"commands": long * 3}), 413, "payload_too_large")

    assert "4,194,304 bytes" in problem["detail"]


def test_a_batch_for_which_there_is_no_room_is_refused_as_a_whole(
    settings: Settings, api: Api, connection: Connection[Any], tenant: str
) -> None:
    with serving(settings, intake_backlog=5) as url, httpx.Client(base_url=url, timeout=60) as http:
        response = Api(http, api.token).post(PATH, {"commands": [create()] * 6})
        assert response.headers["retry-after"] == "1"
        problem_of(response, 429, "queue_full")
        assert lanes_of(connection, tenant) == []

        accepted(Api(http, api.token).post(PATH, {"commands": [create()] * 5}))


def test_a_single_write_does_not_wait_for_the_commit_of_a_large_batch(
    settings: Settings, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Sequence[Submission]] = []
    go = False

    async def hold(connection: AsyncConnection[Any], submissions: Sequence[Submission]) -> list[Any]:
        if len(submissions) > 100:
            held.append(submissions)
            while not go:  # noqa: ASYNC110 (the test is in another thread)
                await asyncio.sleep(0.01)
        return list(await accept(connection, submissions))

    monkeypatch.setattr(core.intake, "accept", hold)
    with serving(settings) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)
        with beside(lambda: asking.post(PATH, {"commands": [create()] * 101})) as batch:
            wait_until(lambda: bool(held))
            single = asking.submit("Call Joe")
            assert not batch.done()
            go = True
        assert len(checked(accepted(batch.result()), [None] * 101)) == 101

    assert api.finished(single["request_id"])["status"] == "succeeded"
