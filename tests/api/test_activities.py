"""Activities over HTTP and MCP."""

import pytest

from tests.api.asking import WAIT, Api, accepted, problem_of, refused_fields
from tests.api.conftest import MakeApi, MakeToken
from tests.api.speaking import answer_of, call

_NOTE = {"type": "note", "body": "Asked about pricing."}


def test_an_activity_is_queued_and_logged(api: Api) -> None:
    receipt = accepted(api.post("/v1/activities", _NOTE))

    assert receipt["activity"]["id"].startswith("act_")
    assert receipt["request_status"] == "queued"
    request = api.finished(receipt["request_id"])
    assert (request["status"], request["command"], request["task_id"]) == ("succeeded", "activity.log", None)
    (activity,) = api.get("/v1/activities").json()["activities"]
    assert activity["id"] == receipt["activity"]["id"]
    assert (activity["body"], activity["actor_id"], activity["source"]) == ("Asked about pricing.", "usr_1", "api")


def test_one_who_waits_gets_the_activity(api: Api) -> None:
    task = api.create()

    response = api.post("/v1/activities", _NOTE | {"task_id": task["id"]}, headers=WAIT)

    assert response.status_code == 201, response.text
    assert response.headers["preference-applied"] == "wait=30"
    assert response.json()["activity"]["task_id"] == task["id"]
    assert response.json()["request_status"] == "succeeded"
    trail = api.get(f"/v1/tasks/{task['id']}/audit-events").json()["audit_events"]
    assert [event["action"] for event in trail] == ["task.create", "activity.log"]


def test_a_failure_has_its_own_status(api: Api) -> None:
    linked = {"related_resource_type": "contact", "related_resource_id": "con_none"}

    problem_of(api.post("/v1/activities", _NOTE | linked, headers=WAIT), 404, "resource_not_found")


def test_a_key_makes_a_retry_safe(api: Api) -> None:
    first = accepted(api.post("/v1/activities", _NOTE | {"idempotency_key": "k"}))
    again = api.post("/v1/activities", _NOTE | {"idempotency_key": "k"})

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first
    problem_of(api.post("/v1/tasks", {"title": "x", "idempotency_key": "k"}), 409, "idempotency_conflict")


def test_members_that_are_not_acceptable_are_named(api: Api) -> None:
    assert refused_fields(api.post("/v1/activities", {"type": "fax", "text": "x"})) == {"type", "body", "text"}
    assert refused_fields(api.get("/v1/activities", related_resource_id="x")) == {"related_resource_type"}


def test_each_side_needs_its_scope(make_api: MakeApi) -> None:
    reader, writer = make_api("activity:read"), make_api("activity:write")

    assert problem_of(reader.post("/v1/activities", _NOTE), 403, "missing_required_scope")["required_scope"] == (
        "activity:write"
    )
    assert problem_of(writer.get("/v1/activities"), 403, "missing_required_scope")["required_scope"] == "activity:read"
    assert writer.post("/v1/activities", _NOTE).status_code == 202


@pytest.mark.usefixtures("worker")
async def test_an_agent_logs_where_a_follow_up_came_from(url: str, make_token: MakeToken) -> None:
    token = make_token("tasks:write", "activity:write", "activity:read")
    created = answer_of(await call(url, token, "create_task", {"title": "Follow up with Jane Doe"}))

    members = {"type": "email", "body": "It came from a pricing email.", "task_id": created["task"]["id"]}
    logged = answer_of(await call(url, token, "log_activity", members))

    assert logged["request_status"] == "succeeded"
    assert logged["activity"]["actor_type"] == "agent"
    found = answer_of(await call(url, token, "list_activities", {"task_id": created["task"]["id"]}))
    assert [activity["id"] for activity in found["activities"]] == [logged["activity"]["id"]]
