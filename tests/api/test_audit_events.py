from collections.abc import Iterator
from typing import Any

import pytest
from dirty_equals import IsPartialDict, IsStr

from tests.api.asking import WAIT, Api, Json, problem_of, refused_fields
from tests.workspaces import Workspace

UTC = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def _list(api: Api, **query: Any) -> list[Json]:
    response = api.get("/v1/audit-events", **query)
    assert response.status_code == 200, response.text
    events: list[Json] = response.json()["audit_events"]
    return events


def _pages(api: Api, path: str, **query: Any) -> Iterator[list[Json]]:
    while True:
        document = api.get(path, **query).json()
        yield document["audit_events"]
        if "next_cursor" not in document:
            return
        query["cursor"] = document["next_cursor"]


@pytest.fixture
def history(api: Api, agent_api: Api, workspace: Workspace) -> dict[str, str]:
    """Two tasks, one of them with a line of writes by two actors; return their ids."""
    workspace.link("contact", "con_123")
    one = api.create("Call Jane", related_resource_type="contact", related_resource_id="con_123")["id"]
    other = agent_api.create("Call John")["id"]
    agent_api.update(one, status="completed", completed_note="Jane replied.")
    api.patch(f"/v1/tasks/{one}", {"status": "canceled"}, headers=WAIT)
    api.update(one, status="completed")
    api.update(one, status="open")
    return {"one": one, "other": other}


def test_an_event_tells_who_did_what_to_which_task_from_where(api: Api, history: dict[str, str]) -> None:
    response = api.get("/v1/audit-events", action="task.complete", outcome="applied")

    assert response.json() == {
        "audit_events": [
            {
                "id": IsStr(regex="aud_[0-9a-z]{26}"),
                "occurred_at": UTC,
                "tenant_id": IsStr(regex="ten_.*"),
                "action": "task.complete",
                "outcome": "applied",
                "actor": {"id": "agt_1", "type": "agent", "name": "Ann Agent"},
                "source": "api",
                "target": {"type": "task", "id": history["one"]},
                "task_id": history["one"],
                "previous_status": "open",
                "new_status": "completed",
                "requested_status": "completed",
                "linked_resource": {"type": "contact", "id": "con_123"},
                "request_id": IsStr(regex="req_[0-9a-z]{26}"),
                "error": None,
            }
        ],
        "request_id": response.headers["x-request-id"],
    }


def test_the_trail_of_a_workspace_begins_with_the_newest(api: Api, history: dict[str, str]) -> None:
    assert [(event["action"], event["outcome"]) for event in _list(api)] == [
        ("task.reopen", "applied"),
        ("task.complete", "unchanged"),
        ("task.cancel", "failed"),
        ("task.complete", "applied"),
        ("task.create", "applied"),
        ("task.create", "applied"),
    ]


def test_the_trail_of_a_task_begins_with_its_creation_and_has_its_failures(api: Api, history: dict[str, str]) -> None:
    events = api.get(f"/v1/tasks/{history['one']}/audit-events").json()["audit_events"]

    assert [(event["previous_status"], event["requested_status"], event["new_status"]) for event in events] == [
        (None, "open", "open"),
        ("open", "completed", "completed"),
        ("completed", "canceled", "completed"),
        ("completed", "completed", "completed"),
        ("completed", "open", "open"),
    ]
    assert events == _list(api, task_id=history["one"])


def test_each_filter_finds_what_it_says(api: Api, history: dict[str, str]) -> None:
    events = _list(api)
    conditions: list[tuple[Json, Any]] = [
        ({"actor": "agt_1"}, lambda event: event["actor"]["id"] == "agt_1"),
        ({"action": "task.create"}, lambda event: event["action"] == "task.create"),
        ({"outcome": "failed"}, lambda event: event["outcome"] == "failed"),
        ({"request": events[2]["request_id"]}, lambda event: event == events[2]),
        ({"since": events[3]["occurred_at"]}, lambda event: event["occurred_at"] >= events[3]["occurred_at"]),
        ({"until": events[3]["occurred_at"]}, lambda event: event["occurred_at"] < events[3]["occurred_at"]),
        ({"actor": "usr_1", "outcome": "applied"}, lambda event: event in (events[0], events[5])),
        ({"action": "task.nope"}, lambda event: event is None),
        ({"actor": "agt_1", "request": events[0]["request_id"]}, lambda event: event is None),
    ]
    for query, condition in conditions:
        assert _list(api, **query) == [event for event in events if condition(event)], query
    of_one = [event for event in events[::-1] if event["task_id"] == history["one"]]
    assert _list(api, task=history["one"]) == of_one
    assert _list(api, task=history["one"], actor="agt_1") == [event for event in of_one if event == events[3]]


def test_a_filter_has_a_short_and_a_long_name(api: Api, history: dict[str, str]) -> None:
    request_id = _list(api)[2]["request_id"]

    for name, value in (("actor", "agt_1"), ("task", history["one"]), ("request", request_id)):
        found = _list(api, **{name: value})
        assert found
        assert _list(api, **{f"{name}_id": value}) == _list(api, **{name: value, f"{name}_id": value}) == found


@pytest.mark.parametrize("name", ["actor", "task", "request"])
def test_two_names_of_a_filter_that_disagree_are_refused(api: Api, name: str) -> None:
    response = api.send("GET", f"/v1/audit-events?{name}=one&{name}_id=other")

    assert refused_fields(response) == {name}


def test_the_trail_of_a_task_has_the_filters_but_the_task(api: Api, history: dict[str, str]) -> None:
    path = f"/v1/tasks/{history['one']}/audit-events"

    assert [event["outcome"] for event in api.get(path, outcome="failed").json()["audit_events"]] == ["failed"]
    assert api.get(path, actor="nobody").json()["audit_events"] == []
    assert refused_fields(api.get(path, task=history["other"])) == {"task"}
    assert refused_fields(api.get(path, task_id=history["one"])) == {"task_id"}


@pytest.mark.parametrize("limit", [1, 2, 6, 100])
def test_pages_of_any_size_give_the_whole_trail(api: Api, history: dict[str, str], limit: int) -> None:
    for path in ("/v1/audit-events", f"/v1/tasks/{history['one']}/audit-events"):
        whole = api.get(path).json()["audit_events"]
        assert [event for page in _pages(api, path, limit=limit) for event in page] == whole


def test_paging_while_events_are_recorded_neither_skips_nor_repeats(api: Api, history: dict[str, str]) -> None:
    at_first, seen = _list(api), []
    for page in _pages(api, "/v1/audit-events", limit=2):
        seen += page
        api.create("In between")

    assert seen == at_first


def test_a_cursor_of_another_trail_is_refused(api: Api, stranger_api: Api, history: dict[str, str]) -> None:
    cursor = api.get("/v1/audit-events", limit=1).json()["next_cursor"]

    for wrong in (
        api.get("/v1/audit-events", cursor=cursor, outcome="failed"),
        api.get(f"/v1/tasks/{history['one']}/audit-events", cursor=cursor),
        api.get("/v1/tasks", cursor=cursor),
        stranger_api.get("/v1/audit-events", cursor=cursor),
        api.get("/v1/audit-events", cursor=f"x{cursor}"),
    ):
        assert refused_fields(wrong) == {"cursor"}


def test_a_task_whose_creation_failed_has_a_trail_that_names_the_resource_it_lacked(api: Api) -> None:
    receipt = api.submit(related_resource_type="deal", related_resource_id="dea_nowhere")
    request = api.finished(receipt["request_id"])

    (event,) = api.get(f"/v1/tasks/{receipt['task']['id']}/audit-events").json()["audit_events"]

    assert event == IsPartialDict(
        id=request["audit_event_id"],
        action="task.create",
        outcome="failed",
        previous_status=None,
        new_status=None,
        requested_status="open",
        linked_resource={"type": "deal", "id": "dea_nowhere"},
        error={"code": "resource_not_found", "status": 404, "message": request["error"]["detail"]},
    )


def test_the_trail_of_a_task_that_nobody_ever_named_is_404(api: Api, stranger_api: Api) -> None:
    theirs = stranger_api.create()["id"]

    for task_id in ("task_nowhere", theirs):
        problem_of(api.get(f"/v1/tasks/{task_id}/audit-events"), 404, "resource_not_found")


def test_every_request_has_one_event_and_every_event_a_request(api: Api, history: dict[str, str]) -> None:
    events = _list(api)

    assert len({event["request_id"] for event in events}) == len(events) == 6
    for event in events:
        assert api.finished(event["request_id"])["audit_event_id"] == event["id"]


def test_the_source_comes_from_the_front_end_and_never_from_what_is_sent(api: Api) -> None:
    refused = api.post("/v1/tasks", {"title": "x", "source": "admin"}, headers={"X-Source": "admin"})
    accepted = api.post("/v1/tasks", {"title": "x"}, headers={**WAIT, "X-Source": "admin", "X-Actor": "usr_9"})

    assert refused_fields(refused) == {"source"}
    assert accepted.json()["task"]["source"] == "api"
    assert [(event["source"], event["actor"]["id"]) for event in _list(api)] == [("api", "usr_1")]
