from typing import Any, LiteralString

import pytest
from dirty_equals import IsPartialDict, IsStr
from psycopg import Connection

from core.tasks.model import TASK_COLUMNS
from tests.api.asking import WAIT, Api, accepted, problem_of
from tests.api.serving import Worker


def test_a_task_is_answered_whole_with_its_revision_as_its_tag(api: Api) -> None:
    created = api.create("Call Jane", due_at="2026-12-04T09:00:00Z", assignee_id="usr_2")

    response = api.get(f"/v1/tasks/{created['id']}")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == '"1"'
    assert response.json() == {"task": created, "pending": [], "request_id": response.headers["x-request-id"]}
    assert tuple(response.json()["task"]) == TASK_COLUMNS


def test_pending_lists_the_queued_writes_in_the_order_in_which_they_take_effect(api: Api, worker: Worker) -> None:
    task_id = api.create()["id"]
    with worker.frozen():
        receipts = [api.submit_update(task_id, status=status) for status in ("completed", "open", "canceled")]
        document = api.get(f"/v1/tasks/{task_id}").json()

    assert document["task"]["status"] == "open"
    assert [request["id"] for request in document["pending"]] == [receipt["request_id"] for receipt in receipts]
    for request in document["pending"]:
        assert request == IsPartialDict(
            status="queued", command="task.update", task_id=task_id, attempts=0, finished_at=None, accepted_at=IsStr()
        )
    after = api.get(f"/v1/tasks/{task_id}", after_request=receipts[-1]["request_id"]).json()
    assert after == IsPartialDict(task=IsPartialDict(status="canceled"), pending=[])


def test_a_task_that_is_not_created_yet_is_404_and_names_the_request_that_will(api: Api, worker: Worker) -> None:
    with worker.frozen():
        receipt = api.submit()
        path = f"/v1/tasks/{receipt['task']['id']}"
        api.submit_update(receipt["task"]["id"], status="completed")
        problem = problem_of(api.get(path), 404, "resource_not_found")

    assert receipt["request_id"] in problem["detail"]
    assert api.get(path, after_request=receipt["request_id"]).status_code == 200


def test_a_task_that_nobody_asked_for_is_404(api: Api) -> None:
    problem = problem_of(api.get("/v1/tasks/task_nowhere"), 404, "resource_not_found")

    assert problem["detail"] == "There is no task task_nowhere in this workspace."
    assert problem["instance"] == "/v1/tasks/task_nowhere"


def test_a_task_whose_creation_failed_is_404(api: Api) -> None:
    receipt = api.submit(related_resource_type="deal", related_resource_id="dea_nowhere")
    api.finished(receipt["request_id"])

    problem_of(api.get(f"/v1/tasks/{receipt['task']['id']}"), 404, "resource_not_found")


@pytest.mark.parametrize("form", ['"1"', 'W/"1"', '"0", "1"', '"0",W/"1"', "*"], ids=repr)
def test_a_task_that_the_client_has_is_answered_304(api: Api, form: str) -> None:
    task_id = api.create()["id"]

    response = api.get(f"/v1/tasks/{task_id}", headers={"If-None-Match": form})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'


@pytest.mark.parametrize("form", ['"2"', "1", '"1', "", '"1+1"', '"10"'], ids=repr)
def test_a_tag_that_is_not_the_tasks_is_answered_with_the_task(api: Api, form: str) -> None:
    task_id = api.create()["id"]

    response = api.get(f"/v1/tasks/{task_id}", headers={"If-None-Match": form})

    assert response.status_code == 200
    assert response.json()["task"]["id"] == task_id


def _update(api: Api, path: str, status: str) -> str:
    """Submit an update and return its request id."""
    request_id: str = accepted(api.patch(path, {"status": status}))["request_id"]
    return request_id


def test_the_tag_changes_with_every_change_of_the_answer(api: Api, worker: Worker) -> None:
    path = f"/v1/tasks/{api.create()['id']}"
    with worker.frozen():
        tags, request_id = [api.get(path).headers["etag"]], ""

        for status in ("completed", "open"):
            request_id = _update(api, path, status)
            tags.append(api.get(path).headers["etag"])
        assert api.get(path, headers={"If-None-Match": tags[-1]}).status_code == 304
    tags.append(api.get(path, after_request=request_id).headers["etag"])
    tags.append(api.patch(path, {"status": "canceled"}, headers=WAIT).headers["etag"])

    assert len(set(tags)) == 5
    assert api.get(path).headers["etag"] == tags[-1]


@pytest.mark.parametrize("change", ["status = 'failed', finished_at = now(), error = '{}'", "attempts = attempts + 1"])
@pytest.mark.parametrize("queued", [2, 101])
def test_the_tag_changes_when_a_write_that_is_not_the_last_of_the_line_does(
    api: Api, worker: Worker, connection: Connection[Any], queued: int, change: LiteralString
) -> None:
    path = f"/v1/tasks/{api.create()['id']}"
    with worker.frozen():
        first, *_ = [_update(api, path, "open") for _ in range(queued)]
        before = api.get(path)
        connection.execute(f"UPDATE requests SET {change} WHERE id = %s", [first])
        after = api.get(path, headers={"If-None-Match": before.headers["etag"]})

    assert after.status_code == 200
    assert after.json()["pending"] != before.json()["pending"]


def test_a_tag_of_a_pending_write_that_changes_nothing_is_not_the_tag_after_it(api: Api, worker: Worker) -> None:
    path = f"/v1/tasks/{api.create()['id']}"
    with worker.frozen():
        request_id = _update(api, path, "open")
        pending = api.get(path).headers["etag"]

    response = api.get(path, after_request=request_id, headers={"If-None-Match": pending})

    assert response.status_code == 200
    assert response.json()["pending"] == []
