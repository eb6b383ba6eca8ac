from collections.abc import Callable

import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from tests.api.asking import WAIT, Api, Json, accepted, curl_json, needs_curl, problem_of
from tests.api.serving import Worker
from tests.workspaces import Workspace

# The example of the contract, whose task_id is the path's.
EXAMPLE = {"status": "completed", "completed_note": "Jane confirmed the next call."}

Ask = Callable[[Api, str, Json], httpx.Response]


def _by_curl(api: Api, task_id: str, members: Json) -> httpx.Response:
    assert api.token
    options = ("--request", "PATCH", "--header", "Prefer: wait=30")
    return curl_json(f"{api.http.base_url}/v1/tasks/{task_id}", api.token, members, *options)


def _by_httpx(api: Api, task_id: str, members: Json) -> httpx.Response:
    return api.patch(f"/v1/tasks/{task_id}", members, headers=WAIT)


BY_BOTH = pytest.mark.parametrize("ask", [pytest.param(_by_curl, marks=needs_curl, id="curl"), _by_httpx])


def _events(api: Api, task_id: str) -> list[Json]:
    events: list[Json] = api.get(f"/v1/tasks/{task_id}/audit-events").json()["audit_events"]
    return events


@BY_BOTH
def test_the_contracts_example_gives_the_contracts_answer(api: Api, ask: Ask) -> None:
    task_id = api.create()["id"]

    response = ask(api, task_id, EXAMPLE)

    assert response.status_code == 200
    assert response.json() == IsPartialDict(
        task=IsPartialDict(id=task_id, **EXAMPLE), request_id=IsStr(regex="req_[0-9a-z]{26}")
    )


def test_an_update_is_answered_at_once_with_a_receipt_that_claims_no_state(api: Api) -> None:
    task_id = api.create()["id"]

    response = api.patch(f"/v1/tasks/{task_id}", EXAMPLE)

    receipt = accepted(response)
    assert receipt == {
        "task": {"id": task_id},
        "request_id": IsStr(regex="req_[0-9a-z]{26}"),
        "request_status": "queued",
    }
    assert response.headers["location"] == f"/v1/requests/{receipt['request_id']}"
    assert response.headers["retry-after"] == "1"
    assert {"etag", "preference-applied"}.isdisjoint(response.headers)
    assert api.finished(receipt["request_id"])["command"] == "task.update"


def test_who_waits_gets_the_whole_task_and_its_new_revision(api: Api) -> None:
    task_id = api.create("Call Jane", assignee_id="usr_2")["id"]

    response = api.patch(f"/v1/tasks/{task_id}", EXAMPLE, headers=WAIT)

    assert response.headers["preference-applied"] == "wait=30"
    assert response.headers["etag"] == '"2"'
    task = response.json()["task"]
    assert task == IsPartialDict(title="Call Jane", assignee_id="usr_2", revision=2, **EXAMPLE)
    assert task["completed_at"] == task["updated_at"] > task["created_at"]


def test_each_status_leads_to_the_others_by_way_of_open(api: Api) -> None:
    task_id = api.create()["id"]

    assert api.update(task_id, **EXAMPLE)["status"] == "completed"
    reopened = api.update(task_id, status="open")
    assert reopened == IsPartialDict(status="open", completed_note=None, completed_at=None, revision=3)
    assert api.update(task_id, status="canceled") == IsPartialDict(status="canceled", completed_at=None)
    assert api.update(task_id, status="open")["status"] == "open"
    assert [event["action"] for event in _events(api, task_id)] == [
        "task.create",
        "task.complete",
        "task.reopen",
        "task.cancel",
        "task.reopen",
    ]


@pytest.mark.parametrize("status", ["open", "completed", "canceled"])
def test_the_same_status_again_succeeds_and_changes_nothing(api: Api, status: str) -> None:
    task_id = api.create()["id"]
    before = api.update(task_id, status=status)

    assert api.update(task_id, status=status) == before
    assert _events(api, task_id)[-1] == IsPartialDict(
        outcome="unchanged", previous_status=status, new_status=status, requested_status=status, error=None
    )


def test_the_note_of_a_completed_task_can_be_changed_alone(api: Api) -> None:
    task_id = api.create()["id"]
    api.update(task_id, status="completed")

    assert api.update(task_id, completed_note="Jane replied.") == IsPartialDict(
        status="completed", completed_note="Jane replied.", revision=3
    )
    assert _events(api, task_id)[-1]["action"] == "task.update"


def test_a_note_for_a_task_that_is_not_completed_is_refused_by_field(api: Api) -> None:
    task_id = api.create()["id"]

    response = api.patch(f"/v1/tasks/{task_id}", {"completed_note": "Jane replied."}, headers=WAIT)

    (fault,) = problem_of(response, 422, "validation_failed")["field_errors"]
    assert fault["field"] == "completed_note"
    assert api.get(f"/v1/tasks/{task_id}").json()["task"]["revision"] == 1


def test_the_agent_that_touched_a_task_last_is_named_and_a_person_does_not_efface_it(api: Api, agent_api: Api) -> None:
    task_id = api.create()["id"]

    assert agent_api.update(task_id, status="completed")["last_agent_actor_id"] == "agt_1"
    assert api.update(task_id, status="open")["last_agent_actor_id"] == "agt_1"


def test_a_whole_line_of_updates_takes_effect_in_the_order_of_its_receipts(api: Api, worker: Worker) -> None:
    with worker.frozen():
        created = api.submit()
        task_id = created["task"]["id"]
        statuses = ["completed", "open", "canceled", "open", "completed", "open", "canceled"]
        receipts = [created, *(api.submit_update(task_id, status=status) for status in statuses)]

    assert {api.finished(receipt["request_id"])["status"] for receipt in receipts} == {"succeeded"}
    assert api.get(f"/v1/tasks/{task_id}").json()["task"] == IsPartialDict(status="canceled", revision=8)
    events = _events(api, task_id)
    assert [event["request_id"] for event in events] == [receipt["request_id"] for receipt in receipts]
    assert [event["new_status"] for event in events] == ["open", *statuses]
    assert [event["previous_status"] for event in events] == [None, "open", *statuses[:-1]]


@pytest.mark.parametrize(("now", "wanted"), [("canceled", "completed"), ("completed", "canceled")])
def test_a_status_that_cannot_be_reached_fails_and_is_recorded(
    api: Api, workspace: Workspace, now: str, wanted: str
) -> None:
    workspace.link("deal", "dea_1")
    task_id = api.create(related_resource_type="deal", related_resource_id="dea_1")["id"]
    before = api.update(task_id, status=now)

    response = api.patch(f"/v1/tasks/{task_id}", {"status": wanted}, headers=WAIT)

    problem = problem_of(response, 409, "invalid_status_transition")
    assert (problem["from_status"], problem["to_status"]) == (now, wanted)
    assert "Reopen it first" in problem["detail"]
    assert problem["instance"] == f"/v1/tasks/{task_id}"
    assert response.headers["preference-applied"] == "wait=30"
    assert api.get(f"/v1/tasks/{task_id}").json()["task"] == before
    assert _failures(api, task_id) == [
        _failed(
            problem,
            task_id=task_id,
            previous_status=now,
            new_status=now,
            requested_status=wanted,
            linked_resource={"type": "deal", "id": "dea_1"},
        )
    ]


def test_completing_a_task_that_does_not_exist_fails_and_is_recorded(api: Api) -> None:
    response = api.patch("/v1/tasks/task_nowhere", EXAMPLE, headers=WAIT)

    problem = problem_of(response, 404, "resource_not_found")
    assert "task_nowhere" in problem["detail"]
    assert _failures(api, "task_nowhere") == [_failed(problem, task_id="task_nowhere", requested_status="completed")]


def test_completing_a_task_of_another_workspace_fails_and_is_recorded_here_alone(api: Api, stranger_api: Api) -> None:
    theirs = stranger_api.create("Theirs")

    response = api.patch(f"/v1/tasks/{theirs['id']}", EXAMPLE, headers=WAIT)

    problem = problem_of(response, 404, "resource_not_found")
    assert _failures(api, theirs["id"]) == [_failed(problem, task_id=theirs["id"], requested_status="completed")]
    assert stranger_api.get(f"/v1/tasks/{theirs['id']}").json()["task"] == theirs
    assert [event["action"] for event in _events(stranger_api, theirs["id"])] == ["task.create"]


def test_a_failure_that_nobody_waits_for_is_told_by_its_request(api: Api) -> None:
    receipt = api.submit_update("task_nowhere", status="canceled")

    request = api.finished(receipt["request_id"])
    assert request == IsPartialDict(status="failed", command="task.update", task_id="task_nowhere", attempts=1)
    assert request["error"] == IsPartialDict(
        code="resource_not_found",
        status=404,
        instance=f"/v1/requests/{receipt['request_id']}",
        request_id=receipt["request_id"],
    )
    (event,) = _failures(api, "task_nowhere")
    assert event["id"] == request["audit_event_id"]


def _failures(api: Api, task_id: str) -> list[Json]:
    return [event for event in _events(api, task_id) if event["outcome"] == "failed"]


def _failed(problem: Json, **expected: object) -> IsPartialDict:
    """Return what the event of a failed update tells, which is all that the contract asks for."""
    none = {"previous_status": None, "new_status": None, "linked_resource": None}
    return IsPartialDict(
        action={"completed": "task.complete", "canceled": "task.cancel"}[str(expected["requested_status"])],
        actor={"id": "usr_1", "type": "user", "name": "Pat Person"},
        source="api",
        request_id=problem["request_id"],
        error={"code": problem["code"], "status": problem["status"], "message": problem["detail"]},
        **{**none, **expected},
    )
