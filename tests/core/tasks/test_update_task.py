from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

import core.tasks.handlers  # noqa: F401 (registers them)
from core.errors import InvalidStatusTransition, ResourceNotFound, ValidationFailed
from core.tasks.commands import UpdateTask
from core.tasks.model import Status, Task
from core.tenancy.model import Actor
from tests.core.tasks.deciding import AGENT, BY_STATUS, CANCELED, COMPLETED, NOW, OPEN, PERSON, SERVICE, decide, task_of

_TRANSITIONS: list[tuple[Status, Status, str]] = [
    ("open", "completed", "task.complete"),
    ("open", "canceled", "task.cancel"),
    ("completed", "open", "task.reopen"),
    ("canceled", "open", "task.reopen"),
]


def _update(status: Status | None = None, note: str | None = None) -> UpdateTask:
    members = {"task_id": "task_1", "status": status, "completed_note": note}
    return UpdateTask.model_validate({name: value for name, value in members.items() if value is not None})


@pytest.mark.parametrize(("before", "after", "action"), _TRANSITIONS)
def test_a_transition_changes_status_revision_and_time(before: Status, after: Status, action: str) -> None:
    task = BY_STATUS[before]

    decision = decide(_update(after), task)

    assert (decision.outcome, _update(after).action) == ("applied", action)
    assert decision.action is None
    assert decision.record == replace(
        task,
        status=after,
        revision=4,
        updated_at=NOW,
        completed_note=None,
        completed_at=NOW if after == "completed" else None,
    )


@pytest.mark.parametrize(("before", "after"), [("completed", "canceled"), ("canceled", "completed")])
def test_completed_and_canceled_lead_to_each_other_only_by_way_of_open(before: Status, after: Status) -> None:
    with pytest.raises(InvalidStatusTransition) as refused:
        decide(_update(after), BY_STATUS[before])

    problem = refused.value.problem(request_id="req_1", instance="/v1/requests/req_1")
    assert (problem["from_status"], problem["to_status"], problem["status"]) == (before, after, 409)


def test_completing_a_canceled_task_with_a_note_is_an_invalid_transition() -> None:
    with pytest.raises(InvalidStatusTransition):
        decide(_update("completed", "Jane replied."), CANCELED)


@pytest.mark.parametrize("status", ["open", "completed", "canceled"])
@pytest.mark.parametrize("actor", [PERSON, AGENT])
def test_the_same_status_again_changes_nothing(status: Status, actor: Actor) -> None:
    decision = decide(_update(status), BY_STATUS[status], actor=actor)

    assert decision.outcome == "unchanged"
    assert task_of(decision) is BY_STATUS[status]


def test_an_update_that_asks_for_nothing_changes_nothing() -> None:
    decision = decide(_update(), OPEN)

    assert (decision.outcome, task_of(decision)) == ("unchanged", OPEN)


def test_completing_keeps_the_note() -> None:
    task = task_of(decide(_update("completed", "Jane confirmed the next call."), OPEN))

    assert (task.completed_note, task.completed_at) == ("Jane confirmed the next call.", NOW)


def test_completing_without_a_note_leaves_none() -> None:
    assert task_of(decide(_update("completed"), OPEN)).completed_note is None


def test_reopening_clears_note_and_time_of_completion() -> None:
    task = task_of(decide(_update("open"), COMPLETED))

    assert (task.completed_note, task.completed_at) == (None, None)


def test_completing_again_after_reopening_does_not_bring_the_old_note_back() -> None:
    reopened = task_of(decide(_update("open"), COMPLETED))

    assert task_of(decide(_update("completed"), reopened)).completed_note is None


@pytest.mark.parametrize("status", [None, "completed"])
def test_the_note_of_a_completed_task_can_be_changed_and_the_completion_stays(status: Status | None) -> None:
    decision = decide(_update(status, "Jane called back."), COMPLETED)

    assert (decision.outcome, decision.action) == ("applied", "task.update")
    assert decision.record == replace(COMPLETED, completed_note="Jane called back.", revision=4, updated_at=NOW)


@pytest.mark.parametrize("status", [None, "completed"])
def test_the_same_note_again_changes_nothing(status: Status | None) -> None:
    assert decide(_update(status, "Jane replied."), COMPLETED).outcome == "unchanged"


def test_a_note_can_be_emptied() -> None:
    assert task_of(decide(_update(note=""), COMPLETED)).completed_note == ""


@pytest.mark.parametrize("task", [OPEN, CANCELED])
def test_a_note_needs_a_task_that_is_completed(task: Task) -> None:
    with pytest.raises(ValidationFailed) as refused:
        decide(_update(note="Jane replied."), task)

    assert [error["field"] for error in refused.value.extensions["field_errors"]] == ["completed_note"]


@pytest.mark.parametrize("tasks", [[], [replace(OPEN, tenant_id="ten_2")], [replace(OPEN, id="task_2")]])
def test_a_task_that_is_not_in_the_workspace_is_not_found(tasks: list[Task]) -> None:
    with pytest.raises(ResourceNotFound, match="task_1"):
        decide(_update("completed"), *tasks)


@pytest.mark.parametrize(
    ("actor", "before", "expected"),
    [
        (AGENT, None, "agt_1"),
        (AGENT, "agt_2", "agt_1"),
        (PERSON, None, None),
        (PERSON, "agt_2", "agt_2"),
        (SERVICE, "agt_2", "agt_2"),
    ],
)
def test_the_last_agent_is_the_one_that_changed_the_task(
    actor: Actor, before: str | None, expected: str | None
) -> None:
    task = replace(OPEN, last_agent_actor_id=before)

    assert task_of(decide(_update("completed"), task, actor=actor)).last_agent_actor_id == expected


def test_an_agent_that_changed_nothing_did_not_touch_the_task() -> None:
    task = replace(OPEN, last_agent_actor_id="agt_2")

    assert task_of(decide(_update("open"), task, actor=AGENT)).last_agent_actor_id == "agt_2"


@pytest.mark.parametrize(("before", "after", "_action"), _TRANSITIONS)
def test_an_update_leaves_everything_else_as_it_was(before: Status, after: Status, _action: str) -> None:
    task = replace(
        BY_STATUS[before],
        description="About the pricing",
        due_at=NOW,
        assignee_id="usr_2",
        related_resource_type="contact",
        related_resource_id="con_123",
    )
    changed = {"status", "revision", "updated_at", "completed_note", "completed_at"}

    after_update = task_of(decide(_update(after), task))

    for name in task.__dataclass_fields__:
        assert name in changed or getattr(after_update, name) == getattr(task, name)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"status": "open"},
        {"status": "completed"},
        {"status": "canceled"},
        {"completed_note": ""},
        {"completed_note": "x" * 20_000},
        {"status": "completed", "completed_note": "Jane replied."},
        {"task_id": "t" * 255},
    ],
    ids=lambda members: str(members)[:60],
)
def test_what_the_contract_allows_is_accepted(members: dict[str, Any]) -> None:
    command = UpdateTask.model_validate({"task_id": "task_123"} | members)

    assert command.target("req_1") == ("task", command.task_id)


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({"task_id": None}, ["task_id"]),
        ({"task_id": ""}, ["task_id"]),
        ({"task_id": "t" * 256}, ["task_id"]),
        ({"task_id": "task\x00"}, ["task_id"]),
        ({"task_id": "\ud800"}, ["task_id"]),
        ({"task_id": 123}, ["task_id"]),
        ({"status": None}, ["status"]),
        ({"status": "done"}, ["status"]),
        ({"status": "Completed"}, ["status"]),
        ({"status": ["open"]}, ["status"]),
        ({"completed_note": None}, ["completed_note"]),
        ({"completed_note": "x" * 20_001}, ["completed_note"]),
        ({"completed_note": "\x00"}, ["completed_note"]),
        ({"completed_note": 1}, ["completed_note"]),
        ({"status": "open", "completed_note": "Jane replied."}, ["completed_note"]),
        ({"status": "canceled", "completed_note": ""}, ["completed_note"]),
        ({"title": "Another"}, ["title"]),
        ({"source": "admin"}, ["source"]),
        ({"tenant_id": "ten_2"}, ["tenant_id"]),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_the_contract_does_not_allow_is_refused_by_name(members: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        UpdateTask.model_validate({"task_id": "task_123"} | members)

    assert [".".join(map(str, each["loc"])) or each["type"] for each in refused.value.errors()] == fields


def test_a_task_id_is_required() -> None:
    with pytest.raises(ValidationError):
        UpdateTask.model_validate({"status": "completed"})
