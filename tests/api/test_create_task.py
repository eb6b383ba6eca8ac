from collections.abc import Callable

import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from core.tasks.model import TASK_COLUMNS
from tests.api.asking import WAIT, Api, Json, accepted, curl, curl_json, needs_curl, problem_of
from tests.api.serving import Worker
from tests.workspaces import Workspace

# The example of the contract.
EXAMPLE = {"title": "Follow up with Jane Doe", "related_resource_type": "contact", "related_resource_id": "con_123"}
ANSWER = {
    "task": IsPartialDict(id=IsStr(regex="task_[0-9a-z]{26}"), title="Follow up with Jane Doe", status="open"),
    "request_id": IsStr(regex="req_[0-9a-z]{26}"),
}

UNSET = ("description", "due_at", "assignee_id", "last_agent_actor_id", "completed_note", "completed_at")

Ask = Callable[[Api, Json, str], httpx.Response]


def _by_curl(api: Api, members: Json, prefer: str) -> httpx.Response:
    assert api.token
    return curl_json(f"{api.http.base_url}/v1/tasks", api.token, members, "--header", f"Prefer: {prefer}")


def _by_httpx(api: Api, members: Json, prefer: str) -> httpx.Response:
    return api.post("/v1/tasks", members, headers={"Prefer": prefer})


BY_BOTH = pytest.mark.parametrize("ask", [pytest.param(_by_curl, marks=needs_curl, id="curl"), _by_httpx])


@pytest.fixture(autouse=True)
def contact(workspace: Workspace) -> None:
    workspace.link("contact", "con_123")


@BY_BOTH
def test_the_contracts_example_gives_the_contracts_answer(api: Api, ask: Ask) -> None:
    response = ask(api, EXAMPLE, "wait=30")

    assert response.status_code == 201
    assert response.json() == IsPartialDict(ANSWER)
    assert response.json()["task"] == IsPartialDict(EXAMPLE)


@pytest.mark.parametrize("title", ['":', 'She said "wait": so I wait.', '{"title": "x", "title": "x"}'])
def test_a_title_that_looks_like_members_is_a_title(api: Api, worker: Worker, title: str) -> None:
    response = api.post("/v1/tasks", {"title": title}, headers=WAIT)

    assert response.json()["task"]["title"] == title


@BY_BOTH
def test_a_write_is_answered_at_once_with_a_receipt_that_claims_no_state(api: Api, ask: Ask) -> None:
    response = ask(api, EXAMPLE, "respond-async")

    receipt = accepted(response)
    assert receipt == {
        "task": {"id": IsStr(regex="task_[0-9a-z]{26}")},
        "request_id": IsStr(regex="req_[0-9a-z]{26}"),
        "request_status": "queued",
    }
    assert response.headers["content-type"] == "application/json"
    assert response.headers["location"] == f"/v1/requests/{receipt['request_id']}"
    assert response.headers["retry-after"] == "1"
    assert response.headers["x-request-id"] == receipt["request_id"]
    assert {"etag", "preference-applied", "idempotent-replayed"}.isdisjoint(response.headers)


def test_the_receipt_leads_to_the_task(api: Api) -> None:
    response = api.post("/v1/tasks", EXAMPLE)
    request = api.get(response.headers["location"], headers=WAIT).json()["request"]

    assert request["status"] == "succeeded"
    assert request["command"] == "task.create"
    assert request["task_id"] == response.json()["task"]["id"]
    assert api.get(f"/v1/tasks/{request['task_id']}").json()["task"] == IsPartialDict(EXAMPLE)


def test_who_waits_gets_the_whole_task(api: Api, workspace: Workspace) -> None:
    response = api.post("/v1/tasks", EXAMPLE, headers=WAIT)

    document = response.json()
    assert response.status_code == 201
    assert list(document) == ["task", "request_id", "request_status"]
    assert document["request_status"] == "succeeded"
    assert response.headers["preference-applied"] == "wait=30"
    assert response.headers["location"] == f"/v1/requests/{document['request_id']}"
    assert response.headers["etag"] == '"1"'
    assert "retry-after" not in response.headers
    task = document["task"]
    assert tuple(task) == TASK_COLUMNS
    assert task == IsPartialDict(tenant_id=workspace.tenant_id, source="api", revision=1, **dict.fromkeys(UNSET))
    assert task["created_at"] == task["updated_at"]


def test_every_member_is_kept_as_it_was_sent(api: Api) -> None:
    members = {
        **EXAMPLE,
        "title": "Ünïcödé 🤝 \u202eright to left\u202c <b>&amp;</b> 'quotes' \\ %s {}",
        "description": "Two\nlines, a tab\tand a family 👨‍👩‍👧‍👦",
        "assignee_id": "agt_ünïcödé",
    }

    assert api.create(**members) == IsPartialDict(members)


def test_the_longest_texts_are_kept_whole(api: Api) -> None:
    members = {"title": "🤝" * 500, "description": "é" * 20_000, "assignee_id": "a" * 255}

    assert api.create(**members) == IsPartialDict(members)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-12-04T09:00:00Z", "2026-12-04T09:00:00Z"),
        ("2026-12-04t09:00:00z", "2026-12-04T09:00:00Z"),
        ("2026-12-04T09:00:00.123456+01:00", "2026-12-04T08:00:00.123456Z"),
        ("2026-12-04T09:00:00-11:30", "2026-12-04T20:30:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_due_date_is_answered_in_utc(api: Api, sent: str, kept: str) -> None:
    assert api.create(due_at=sent)["due_at"] == kept


def test_a_person_leaves_no_trace_of_an_agent(api: Api, agent_api: Api) -> None:
    assert api.create()["last_agent_actor_id"] is None
    assert agent_api.create()["last_agent_actor_id"] == "agt_1"


def test_a_related_resource_that_is_not_there_fails_the_write_and_makes_no_task(api: Api) -> None:
    response = api.post("/v1/tasks", {**EXAMPLE, "related_resource_id": "con_124"}, headers=WAIT)

    problem = problem_of(response, 404, "resource_not_found")
    assert "con_124" in problem["detail"]
    assert problem["instance"] == "/v1/tasks"
    assert response.headers["preference-applied"] == "wait=30"
    assert response.headers["location"] == f"/v1/requests/{problem['request_id']}"
    request = api.finished(problem["request_id"])
    assert request["status"] == "failed"
    problem_of(api.get(f"/v1/tasks/{request['task_id']}"), 404, "resource_not_found")


def test_a_resource_of_another_workspace_is_not_there(api: Api, stranger_api: Api) -> None:
    response = stranger_api.post("/v1/tasks", EXAMPLE, headers=WAIT)

    problem_of(response, 404, "resource_not_found")


def test_a_resource_of_another_type_is_not_there(api: Api) -> None:
    response = api.post("/v1/tasks", {**EXAMPLE, "related_resource_type": "deal"}, headers=WAIT)

    problem_of(response, 404, "resource_not_found")


def test_when_the_wait_passes_the_receipt_is_given_and_the_write_takes_effect_later(api: Api, worker: Worker) -> None:
    with worker.frozen():
        response = api.post("/v1/tasks", EXAMPLE, headers={"Prefer": "wait=1"})
        receipt = accepted(response)

    assert response.headers["retry-after"] == "1"
    assert "preference-applied" not in response.headers
    assert api.finished(receipt["request_id"])["status"] == "succeeded"


@pytest.mark.parametrize(
    "prefer", ["wait=30", "Wait=30", 'wait="30"', "respond-async, wait=30", "wait=30; x", "wait=999"]
)
def test_each_spelling_of_the_preference_is_understood(api: Api, prefer: str) -> None:
    response = api.post("/v1/tasks", EXAMPLE, headers={"Prefer": prefer})

    assert response.status_code == 201
    assert response.headers["preference-applied"] == "wait=30"


def test_a_preference_may_stand_in_a_second_header(api: Api) -> None:
    response = api.post("/v1/tasks", EXAMPLE, headers=[("Prefer", "handling=strict"), ("Prefer", "wait=30")])

    assert response.status_code == 201


@pytest.mark.parametrize(
    "prefer", ["", "wait", "wait=", "wait=0", "wait=-1", "wait=soon", "await=5", "wait=1e9", "wait=٣"]
)
def test_a_preference_that_is_not_understood_is_ignored(api: Api, prefer: str) -> None:
    response = api.post("/v1/tasks", EXAMPLE, headers={"Prefer": prefer})

    accepted(response)
    assert "preference-applied" not in response.headers


@needs_curl
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--header", "Content-Type: application/json"],
        ["--header", "Content-Type: text/plain; charset=latin-1"],
        ["--header", "Content-Type;"],
        ["--header", "Content-Type:"],
        ["--header", "Transfer-Encoding: chunked"],
        ["--header", "Expect: 100-continue"],
        ["--http1.0"],
    ],
    ids=" ".join,
)
def test_json_is_taken_whatever_curl_says_of_it(api: Api, options: list[str]) -> None:
    assert api.token
    response = curl_json(f"{api.http.base_url}/v1/tasks", api.token, EXAMPLE, "--header", "Prefer: wait=30", *options)

    assert response.status_code == 201
    assert response.json()["task"] == IsPartialDict(EXAMPLE)


@needs_curl
def test_a_body_larger_than_curl_sends_at_once_is_taken(api: Api) -> None:
    members = {"title": "Long", "description": "x" * 20_000}
    assert api.token
    response = curl_json(f"{api.http.base_url}/v1/tasks", api.token, members, "--header", "Prefer: wait=30")

    assert response.json()["task"]["description"] == members["description"]


@needs_curl
def test_curl_without_a_token_is_told_what_to_send(web: str) -> None:
    response = curl(f"{web}/v1/tasks", "--data", "{}")

    assert "Authorization: Bearer" in problem_of(response, 401, "unauthorized")["detail"]
