from collections.abc import Callable

import pytest
from dirty_equals import IsPartialDict, IsStr

from tests.api.asking import WAIT, Api, Json, accepted, problem_of, refused_fields
from tests.api.serving import Worker
from tests.concurrency import beside

UTC = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def test_a_queued_request_says_so_and_when_to_look_again(api: Api, worker: Worker) -> None:
    with worker.frozen():
        receipt = api.submit()
        response = api.get(f"/v1/requests/{receipt['request_id']}")

    assert response.status_code == 200
    assert response.headers["retry-after"] == "1"
    assert response.json() == {
        "request": {
            "id": receipt["request_id"],
            "status": "queued",
            "command": "task.create",
            "target": {"type": "task", "id": receipt["task"]["id"]},
            "task_id": receipt["task"]["id"],
            "accepted_at": UTC,
            "finished_at": None,
            "attempts": 0,
        }
    }


def test_a_succeeded_request_names_its_event_and_needs_no_other_look(api: Api) -> None:
    receipt = api.submit()
    response = api.get(f"/v1/requests/{receipt['request_id']}", headers=WAIT)

    assert "retry-after" not in response.headers
    request = response.json()["request"]
    assert request == IsPartialDict(status="succeeded", attempts=1, finished_at=UTC)
    assert request["finished_at"] > request["accepted_at"]
    assert "error" not in request
    (event,) = api.get("/v1/audit-events", request=request["id"]).json()["audit_events"]
    assert event["id"] == request["audit_event_id"]


def test_a_failed_request_tells_its_problem_with_the_members_in_their_order(api: Api) -> None:
    request = api.finished(api.submit_update("task_nowhere", status="open")["request_id"])

    assert list(request["error"]) == [
        *("type", "title", "status", "detail", "instance", "code", "request_id", "retryable")
    ]
    assert request["audit_event_id"]


def test_a_long_poll_is_answered_when_the_request_is_finished(api: Api, worker: Worker) -> None:
    with worker.frozen():
        path = f"/v1/requests/{api.submit()['request_id']}"
        assert api.get(path, headers={"Prefer": "wait=1"}).json()["request"]["status"] == "queued"
        with beside(lambda: api.get(path, headers=WAIT)) as poll:
            assert api.get(path).json()["request"]["status"] == "queued"
            worker.thaw()
            response = poll.result()

    assert response.json()["request"]["status"] == "succeeded"


def test_a_request_that_did_not_change_is_answered_304(api: Api, worker: Worker) -> None:
    with worker.frozen():
        path = f"/v1/requests/{api.submit()['request_id']}"
        queued = api.get(path).headers["etag"]
        response = api.get(path, headers={"If-None-Match": queued})

        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == queued
        assert response.headers["retry-after"] == "1"
        assert response.headers["x-request-id"]

    finished = api.get(path, headers={**WAIT, "If-None-Match": queued})
    assert finished.status_code == 200
    assert finished.headers["etag"] != queued
    again = api.get(path, headers={"If-None-Match": f'"x", W/{finished.headers["etag"]}'})
    assert again.status_code == 304
    assert "retry-after" not in again.headers


def test_a_request_is_found_by_its_idempotency_key(api: Api) -> None:
    receipt = accepted(api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": "a/b?c=d&e"}))
    finished = api.finished(receipt["request_id"])

    response = api.get("/v1/requests", idempotency_key="a/b?c=d&e")

    assert response.json() == {"request": finished}
    known = {"If-None-Match": response.headers["etag"]}
    assert api.get("/v1/requests", headers=known, idempotency_key="a/b?c=d&e").status_code == 304


def test_a_look_up_by_key_waits_as_one_by_id_does(api: Api) -> None:
    accepted(api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": "k"}))

    response = api.get("/v1/requests", headers=WAIT, idempotency_key="k")

    assert response.json()["request"]["status"] == "succeeded"


def test_a_key_under_which_nothing_was_accepted_is_not_found(api: Api, stranger_api: Api) -> None:
    accepted(stranger_api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": "theirs"}))
    refused_fields(api.post("/v1/tasks", {}, headers={"Idempotency-Key": "refused"}))

    for key in ("never", "theirs", "refused"):
        problem_of(api.get("/v1/requests", idempotency_key=key), 404, "resource_not_found")


def test_a_look_up_needs_a_key_that_can_be_one(api: Api) -> None:
    assert refused_fields(api.get("/v1/requests")) == {"idempotency_key"}
    assert refused_fields(api.get("/v1/requests", idempotency_key="a b")) == {"idempotency_key"}


def test_an_unknown_request_is_never_taken_for_a_queued_one(api: Api, stranger_api: Api) -> None:
    theirs = stranger_api.submit()["request_id"]

    for request_id in ("req_nowhere", theirs, theirs.replace("req_", "aud_")):
        problem = problem_of(api.get(f"/v1/requests/{request_id}", headers=WAIT), 404, "resource_not_found")
        assert request_id in problem["detail"]


# Where a read of the task is, and what it then tells of its status.
READS: dict[str, Callable[[Json], str]] = {
    "/v1/tasks": lambda answer: answer["tasks"][0]["status"],
    "/v1/tasks/{}": lambda answer: answer["task"]["status"],
    "/v1/audit-events": lambda answer: answer["audit_events"][0]["new_status"],
    "/v1/tasks/{}/audit-events": lambda answer: answer["audit_events"][-1]["new_status"],
}


@pytest.mark.parametrize("read", READS)
def test_every_read_can_wait_for_a_write_of_ones_own(api: Api, worker: Worker, read: str) -> None:
    task_id = api.create()["id"]
    path, status_of = read.format(task_id), READS[read]
    with worker.frozen():
        receipt = api.submit_update(task_id, status="completed")
        with beside(lambda: api.get(path, after_request=receipt["request_id"])) as waiting:
            assert status_of(api.get(path).json()) == "open"
            worker.thaw()
            response = waiting.result()

    assert response.status_code == 200
    assert status_of(response.json()) == "completed"


@pytest.mark.parametrize("read", READS)
def test_a_read_after_a_write_that_is_not_executed_in_time_shows_no_old_state(
    api: Api, worker: Worker, read: str
) -> None:
    task_id = api.create()["id"]
    with worker.frozen():
        receipt = api.submit_update(task_id, status="completed")
        response = api.get(read.format(task_id), headers={"Prefer": "wait=1"}, after_request=receipt["request_id"])

    problem = problem_of(response, 503, "unavailable")
    assert receipt["request_id"] in problem["detail"]
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("read", READS)
def test_a_read_after_a_write_that_prefers_no_wait_is_answered_at_once(api: Api, worker: Worker, read: str) -> None:
    task_id = api.create()["id"]
    path = read.format(task_id)
    with worker.frozen():
        request_id = api.submit_update(task_id, status="completed")["request_id"]
        response = api.get(path, headers={"Prefer": "wait=0"}, after_request=request_id)
        assert "after 0 s" in problem_of(response, 503, "unavailable")["detail"]

    api.finished(request_id)
    assert api.get(path, headers={"Prefer": "wait=0"}, after_request=request_id).status_code == 200


@pytest.mark.parametrize("read", READS)
def test_a_read_after_a_request_that_is_not_there_is_refused(api: Api, stranger_api: Api, read: str) -> None:
    task_id, theirs = api.create()["id"], stranger_api.submit()["request_id"]

    for request_id in ("req_nowhere", theirs):
        response = api.get(read.format(task_id), after_request=request_id)
        assert request_id in problem_of(response, 404, "resource_not_found")["detail"]


def test_the_status_of_one_write_can_be_read_after_another(api: Api, stranger_api: Api) -> None:
    one = accepted(api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": "k"}))["request_id"]
    other, theirs = api.submit()["request_id"], stranger_api.submit()["request_id"]

    for path in (f"/v1/requests/{one}", "/v1/requests?idempotency_key=k"):
        mark = "&" if "?" in path else "?"
        assert api.send("GET", f"{path}{mark}after_request={other}").json()["request"]["id"] == one
        problem_of(api.send("GET", f"{path}{mark}after_request={theirs}"), 404, "resource_not_found")


def test_a_read_after_a_write_that_failed_is_answered(api: Api) -> None:
    receipt = api.submit_update("task_nowhere", status="completed")

    response = api.get("/v1/audit-events", after_request=receipt["request_id"])

    assert [event["outcome"] for event in response.json()["audit_events"]] == ["failed"]
