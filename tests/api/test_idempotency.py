from functools import partial
from uuid import uuid4

import pytest

from tests.api.asking import WAIT, Api, Json, accepted, curl_json, needs_curl, problem_of, refused_fields
from tests.api.serving import Worker
from tests.concurrency import at_once

KEY = {"Idempotency-Key": "key-1"}


def _titles(api: Api) -> list[str]:
    return [task["title"] for task in api.get("/v1/tasks", limit=100).json()["tasks"]]


@pytest.fixture
def first(api: Api) -> Json:
    """The receipt of a write under key-1, which is executed."""
    response = api.post("/v1/tasks", {"title": "Call Jane"}, headers=KEY)
    assert "idempotent-replayed" not in response.headers
    receipt = accepted(response)
    api.finished(receipt["request_id"])
    return receipt


@pytest.mark.parametrize(
    ("members", "headers"),
    [
        ({}, KEY),
        ({"idempotency_key": "key-1"}, {}),
        ({"idempotency_key": "key-1"}, KEY),
    ],
    ids=["header", "member", "both"],
)
def test_the_same_write_again_is_answered_with_the_first_receipt(
    api: Api, first: Json, members: Json, headers: dict[str, str]
) -> None:
    response = api.post("/v1/tasks", {"title": "Call Jane", **members}, headers=headers)

    assert accepted(response) == first
    assert response.headers["idempotent-replayed"] == "true"
    assert response.headers["location"] == f"/v1/requests/{first['request_id']}"
    assert _titles(api) == ["Call Jane"]


@needs_curl
def test_blanks_around_a_header_are_no_part_of_the_key(api: Api, first: Json) -> None:
    assert api.token
    url, option = f"{api.http.base_url}/v1/tasks", "Idempotency-Key: \t key-1 \t"

    assert accepted(curl_json(url, api.token, {"title": "Call Jane"}, "--header", option)) == first


def test_a_header_that_is_sent_twice_alike_is_one_key(api: Api, first: Json) -> None:
    response = api.post("/v1/tasks", {"title": "Call Jane"}, headers=[*KEY.items(), *KEY.items()])

    assert accepted(response) == first


def test_the_same_write_in_other_words_is_the_same_write(api: Api) -> None:
    one = {"title": "Call Jane", "due_at": "2026-12-04T09:00:00+01:00", "idempotency_key": "key-1"}
    other = {"due_at": "2026-12-04T08:00:00.000Z", "title": "Call Jane"}

    receipt = accepted(api.post("/v1/tasks", one))

    assert accepted(api.post("/v1/tasks", other, headers=KEY)) == receipt


def test_a_replay_that_waits_gets_the_task_as_it_is_now(api: Api, first: Json) -> None:
    api.update(first["task"]["id"], status="completed")

    response = api.post("/v1/tasks", {"title": "Call Jane"}, headers={**KEY, **WAIT})

    assert response.status_code == 201
    assert response.headers["idempotent-replayed"] == "true"
    assert response.json()["request_id"] == first["request_id"]
    assert response.json()["task"]["status"] == "completed"


def test_a_replay_waits_for_a_write_that_is_still_queued(api: Api, worker: Worker) -> None:
    with worker.frozen():
        receipt = accepted(api.post("/v1/tasks", {"title": "Call Jane"}, headers=KEY))
        again = api.post("/v1/tasks", {"title": "Call Jane"}, headers={**KEY, "Prefer": "wait=1"})
        assert accepted(again) == receipt

    response = api.post("/v1/tasks", {"title": "Call Jane"}, headers={**KEY, **WAIT})
    assert response.status_code == 201
    assert response.json()["task"]["id"] == receipt["task"]["id"]


def test_a_replay_of_a_failed_write_is_the_same_failure(api: Api) -> None:
    update = ("/v1/tasks/task_nowhere", {"status": "completed"})
    failure = api.patch(*update, headers={**KEY, **WAIT})

    response = api.patch(*update, headers={**KEY, **WAIT})

    assert problem_of(response, 404, "resource_not_found") == failure.json()
    assert response.headers["location"] == failure.headers["location"]
    assert "idempotent-replayed" not in failure.headers
    assert response.headers["idempotent-replayed"] == "true"
    assert len(api.get("/v1/audit-events").json()["audit_events"]) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"title": "Call John"},
        {"title": "Call Jane "},
        {"title": "Call Jane", "description": "Soon"},
        {"title": "Call Jane", "assignee_id": "usr_1"},
    ],
    ids=repr,
)
def test_another_write_under_the_key_is_a_conflict(api: Api, first: Json, members: Json) -> None:
    problem = problem_of(api.post("/v1/tasks", members, headers=KEY), 409, "idempotency_conflict")

    assert problem["request_id"] != first["request_id"]
    assert _titles(api) == ["Call Jane"]


def test_another_kind_of_write_under_the_key_is_a_conflict(api: Api, first: Json) -> None:
    response = api.patch(f"/v1/tasks/{first['task']['id']}", {"status": "completed"}, headers=KEY)

    problem_of(response, 409, "idempotency_conflict")
    assert api.get(f"/v1/tasks/{first['task']['id']}").json()["task"]["status"] == "open"


def test_the_same_update_of_another_task_under_the_key_is_a_conflict(api: Api) -> None:
    one, other = api.create()["id"], api.create()["id"]
    accepted(api.patch(f"/v1/tasks/{one}", {"status": "completed"}, headers=KEY))

    problem_of(api.patch(f"/v1/tasks/{other}", {"status": "completed"}, headers=KEY), 409, "idempotency_conflict")


def test_a_key_belongs_to_one_workspace(api: Api, stranger_api: Api, first: Json) -> None:
    response = stranger_api.post("/v1/tasks", {"title": "Something else"}, headers=KEY)

    assert accepted(response)["request_id"] != first["request_id"]
    assert "idempotent-replayed" not in response.headers


def test_a_key_belongs_to_everybody_in_a_workspace(api: Api, agent_api: Api, first: Json) -> None:
    assert accepted(agent_api.post("/v1/tasks", {"title": "Call Jane"}, headers=KEY)) == first


def test_a_write_that_was_refused_leaves_its_key_free(api: Api) -> None:
    assert refused_fields(api.post("/v1/tasks", {"title": ""}, headers=KEY)) == {"title"}

    response = api.post("/v1/tasks", {"title": "Call Jane"}, headers=KEY)
    assert "idempotent-replayed" not in response.headers
    accepted(response)


def test_without_a_key_each_write_is_another(api: Api) -> None:
    one, other = api.submit(), api.submit()

    assert one["task"]["id"] != other["task"]["id"]


def test_fifty_equal_writes_at_once_apply_once(api: Api) -> None:
    headers = {"Idempotency-Key": uuid4().hex, **WAIT}

    answers = at_once([lambda: api.post("/v1/tasks", {"title": "Call Jane"}, headers=headers)] * 50)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["request_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49
    assert _titles(api) == ["Call Jane"]
    assert len(api.get("/v1/audit-events").json()["audit_events"]) == 1


def test_of_fifty_different_writes_at_once_under_one_key_one_is_accepted(api: Api) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    titles = [f"Call number {number}" for number in range(50)]

    answers = at_once([partial(api.post, "/v1/tasks", {"title": title}, headers=headers) for title in titles])

    (winner,) = [answer for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer is not winner:
            problem_of(answer, 409, "idempotency_conflict")
    api.finished(winner.json()["request_id"])
    assert _titles(api) == [titles[answers.index(winner)]]


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "é", "k\n", "k\u200b", None, 5, ["k"], True], ids=repr)
def test_a_member_that_can_be_no_key_is_refused(api: Api, key: object) -> None:
    assert refused_fields(api.post("/v1/tasks", {"title": "x", "idempotency_key": key})) == {"idempotency_key"}
    assert _titles(api) == []


@pytest.mark.parametrize("key", ["", "a b", "k" * 256, "é", "a\tb"], ids=repr)
def test_a_header_that_can_be_no_key_is_refused(api: Api, key: str) -> None:
    response = api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": key})

    (fault,) = problem_of(response, 422, "validation_failed")["field_errors"]
    assert fault == {"field": "idempotency_key", "message": "Use 1 to 255 visible ASCII characters, without spaces"}


@pytest.mark.parametrize("key", ["k", "k" * 255, "!~", '"quoted"', "a,b;c=d", "%00", "../.."], ids=lambda key: key[:20])
def test_a_key_of_any_visible_characters_is_taken(api: Api, key: str) -> None:
    receipt = accepted(api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": key}))

    assert accepted(api.post("/v1/tasks", {"title": "x", "idempotency_key": key})) == receipt


def test_two_places_with_different_keys_are_refused(api: Api) -> None:
    both = api.post("/v1/tasks", {"title": "x", "idempotency_key": "key-2"}, headers=KEY)
    twice = api.post("/v1/tasks", {"title": "x"}, headers=[*KEY.items(), ("Idempotency-Key", "key-2")])

    assert refused_fields(both) == refused_fields(twice) == {"idempotency_key"}
    assert _titles(api) == []
