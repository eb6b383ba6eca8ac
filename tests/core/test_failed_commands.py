"""What failed leaves the task as it was, a problem in the request, and one event in the audit trail."""

from dataclasses import dataclass
from typing import Any

import pytest

from core.acceptance import Receipt
from core.audit import AuditEvent
from core.tasks.commands import CreateTask, UpdateTask
from core.tenancy.model import Caller
from tests.workspaces import Workspace

_NOTE = "Jane replied."


def _complete(workspace: Workspace, task_id: str, **rest: Any) -> Receipt:
    (receipt,) = workspace.accept(UpdateTask(task_id=task_id, status="completed"), **rest)
    workspace.execute(receipt)
    return receipt


@dataclass(frozen=True)
class Expected:
    """What an event says of a failure, beside who, when and which request."""

    code: str
    status: int
    previous_status: str | None
    linked: tuple[str | None, str | None]


def _assert_failed(workspace: Workspace, receipt: Receipt, expected: Expected, **event: Any) -> AuditEvent:
    request, (found,) = workspace.request(receipt), workspace.events(receipt.target_id)[-1:]
    assert request.error is not None
    assert (request.status, request.attempts) == ("failed", 1)
    assert (request.error["code"], request.error["status"]) == (expected.code, expected.status)
    assert request.error["request_id"] == receipt.request_id
    assert request.error["instance"] == f"/v1/requests/{receipt.request_id}"
    assert found.request_id == receipt.request_id
    assert (found.outcome, found.occurred_at) == ("failed", request.finished_at)
    assert (found.previous_status, found.new_status) == (expected.previous_status, expected.previous_status)
    assert (found.linked_resource_type, found.linked_resource_id) == expected.linked
    assert found.error == {
        "code": expected.code,
        "status": expected.status,
        "message": request.error["detail"],
    }
    for name, value in event.items():
        assert getattr(found, name) == value
    return found


def test_completing_a_task_that_does_not_exist_fails_and_is_audited(workspace: Workspace, agent: Caller) -> None:
    receipt = _complete(workspace, "task_none", caller=agent, source="mcp")

    _assert_failed(
        workspace,
        receipt,
        Expected("resource_not_found", 404, None, (None, None)),
        actor_id="agt_1",
        actor_type="agent",
        actor_name="Ann Agent",
        source="mcp",
        action="task.complete",
        requested_status="completed",
        task_id="task_none",
    )


def test_completing_a_task_of_another_tenant_fails_is_audited_here_and_leaves_nothing_there(
    workspace: Workspace, stranger: Caller
) -> None:
    elsewhere = Workspace(workspace.settings, workspace.connection, stranger)
    task_id = elsewhere.create()
    before = elsewhere.task(task_id)

    receipt = _complete(workspace, task_id)

    _assert_failed(
        workspace,
        receipt,
        Expected("resource_not_found", 404, None, (None, None)),
        requested_status="completed",
        tenant_id=workspace.tenant_id,
    )
    assert elsewhere.task(task_id) == before
    assert len(elsewhere.events()) == 1
    assert workspace.tasks() == []


def test_completing_a_canceled_task_fails_and_is_audited(workspace: Workspace) -> None:
    workspace.link("deal", "deal_1")
    task_id = workspace.create(related_resource_type="deal", related_resource_id="deal_1")
    workspace.execute(*workspace.update(task_id, "canceled"))
    before = workspace.task(task_id)

    receipt = _complete(workspace, task_id)

    _assert_failed(
        workspace,
        receipt,
        Expected("invalid_status_transition", 409, "canceled", ("deal", "deal_1")),
        action="task.complete",
        requested_status="completed",
        actor_id="usr_1",
        source="api",
    )
    assert workspace.task(task_id) == before
    error = workspace.request(receipt).error
    assert error is not None
    assert (error["from_status"], error["to_status"]) == ("canceled", "completed")


def test_canceling_a_completed_task_fails_and_is_audited(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, "completed", "canceled")
    workspace.execute(*receipts)

    _assert_failed(
        workspace,
        receipts[1],
        Expected("invalid_status_transition", 409, "completed", (None, None)),
        action="task.cancel",
        requested_status="canceled",
    )


def test_a_note_for_an_open_task_fails_and_is_audited(workspace: Workspace) -> None:
    task_id = workspace.create()
    (receipt,) = workspace.accept(UpdateTask(task_id=task_id, completed_note=_NOTE))
    workspace.execute(receipt)

    _assert_failed(
        workspace,
        receipt,
        Expected("validation_failed", 422, "open", (None, None)),
        action="task.update",
        requested_status=None,
    )
    error = workspace.request(receipt).error
    assert error is not None
    assert [each["field"] for each in error["field_errors"]] == ["completed_note"]


def test_creating_a_task_for_a_resource_that_does_not_exist_fails_and_is_audited(
    workspace: Workspace, stranger: Caller
) -> None:
    Workspace(workspace.settings, workspace.connection, stranger).link("contact", "con_123")
    workspace.link("company", "con_123")
    (receipt,) = workspace.accept(
        CreateTask(title="Call Jane", related_resource_type="contact", related_resource_id="con_123")
    )
    workspace.execute(receipt)

    _assert_failed(
        workspace,
        receipt,
        Expected("resource_not_found", 404, None, ("contact", "con_123")),
        action="task.create",
        requested_status="open",
    )
    assert workspace.tasks() == []


def test_updates_that_follow_a_failed_create_fail_as_well_and_each_is_audited(workspace: Workspace) -> None:
    (created,) = workspace.accept(
        CreateTask(title="Call Jane", related_resource_type="contact", related_resource_id="con_none")
    )
    line = workspace.update(created.target_id, "completed", "open")

    workspace.execute(created, *line)

    assert workspace.statuses([created, *line]) == ["failed"] * 3
    assert [event.action for event in workspace.events()] == ["task.create", "task.complete", "task.reopen"]


def test_a_failure_touches_nothing_of_its_neighbours(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, "completed", "canceled", "open", "canceled")

    workspace.execute(*receipts)

    assert workspace.statuses(receipts) == ["succeeded", "failed", "succeeded", "succeeded"]
    assert (workspace.task(task_id).status, workspace.task(task_id).revision) == ("canceled", 4)


def test_what_succeeds_is_audited_with_who_what_and_from_where(workspace: Workspace, agent: Caller) -> None:
    workspace.link("contact", "con_123")
    task_id = workspace.create(related_resource_type="contact", related_resource_id="con_123")
    (receipt,) = workspace.update(task_id, "completed", caller=agent, source="mcp")
    workspace.execute(receipt)

    event = workspace.event(receipt)

    assert (event.action, event.outcome) == ("task.complete", "applied")
    assert (event.actor_id, event.actor_type, event.actor_name, event.source) == (
        *("agt_1", "agent", "Ann Agent"),
        "mcp",
    )
    assert (event.previous_status, event.new_status, event.requested_status) == ("open", "completed", "completed")
    assert (event.linked_resource_type, event.linked_resource_id) == ("contact", "con_123")
    assert event.error is None
    assert event.occurred_at == workspace.request(receipt).finished_at == workspace.task(task_id).completed_at
    assert workspace.task(task_id).last_agent_actor_id == "agt_1"


@pytest.mark.parametrize(
    ("before", "update", "action"),
    [
        ("open", {"status": "open"}, "task.reopen"),
        ("completed", {"status": "completed"}, "task.complete"),
        ("canceled", {"status": "canceled"}, "task.cancel"),
        ("open", {}, "task.update"),
    ],
)
def test_what_changes_nothing_succeeds_and_is_audited_as_unchanged(
    workspace: Workspace, before: str, update: dict[str, str], action: str
) -> None:
    task_id = workspace.create()
    if before != "open":
        workspace.execute(*workspace.update(task_id, before))
    task = workspace.task(task_id)
    (receipt,) = workspace.accept(UpdateTask.model_validate({"task_id": task_id} | update))
    workspace.execute(receipt)

    event = workspace.event(receipt)

    assert workspace.statuses([receipt]) == ["succeeded"]
    assert (event.outcome, event.action) == ("unchanged", action)
    assert (event.previous_status, event.new_status) == (before, before)
    assert workspace.task(task_id) == task


@pytest.mark.parametrize(
    ("status", "action"), [("completed", "task.complete"), ("canceled", "task.cancel"), (None, "task.update")]
)
def test_the_verb_of_a_failed_command_is_that_of_its_wish(
    workspace: Workspace, status: str | None, action: str
) -> None:
    (receipt,) = workspace.accept(
        UpdateTask.model_validate({"task_id": "task_none"} | ({"status": status} if status else {}))
    )
    workspace.execute(receipt)

    assert workspace.event(receipt).action == action


def test_a_changed_note_is_audited_as_an_update_with_the_status_asked_for(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.accept(
        UpdateTask(task_id=task_id, status="completed", completed_note="Jane wrote."),
        UpdateTask(task_id=task_id, status="completed", completed_note=_NOTE),
    )
    workspace.execute(*receipts)

    event = workspace.event(receipts[1])

    assert (event.action, event.outcome, event.requested_status) == ("task.update", "applied", "completed")
    assert workspace.task(task_id).completed_note == _NOTE
