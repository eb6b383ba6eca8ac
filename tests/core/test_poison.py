"""What goes wrong in one command stays with that command."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from psycopg import Connection

import core.execution
from core.acceptance import Receipt
from core.audit import AuditEvent, append_events
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.handlers import create_task, update_task
from tests.core.crashes import Killed, install, raising, unwritable
from tests.workspaces import Workspace

_UNWRITABLE = {
    "NUL, which the driver refuses": {"title": "a\x00b"},
    "a status that a constraint refuses": {"status": "lost"},
    "a number out of range": {"revision": 2**40},
    "a surrogate that has no encoding": {"title": "\ud800"},
    "a value of no type that Postgres has": {"title": object()},
    "a text too long for its index": {"assignee_id": random.Random(1).randbytes(6000).hex()},
}
unwritable_values = pytest.mark.parametrize("values", _UNWRITABLE.values(), ids=list(_UNWRITABLE))


def _assert_internal_error(workspace: Workspace, receipt: Receipt) -> None:
    request, event = workspace.request(receipt), workspace.event(receipt)
    assert request.status == "failed"
    assert request.error is not None
    assert (request.error["code"], request.error["status"]) == ("internal_error", 500)
    assert event.outcome == "failed"
    assert event.error is not None
    assert event.error["code"] == "internal_error"


@unwritable_values
@pytest.mark.parametrize("position", [0, 6, 12])
def test_a_command_that_cannot_be_written_fails_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, position: int, values: dict[str, Any]
) -> None:
    install(monkeypatch, CreateTask, "poison", unwritable(create_task, **values))
    titles = [f"Task {number}" for number in range(13)]
    titles[position] = "poison"
    receipts = workspace.accept(*[CreateTask(title=title) for title in titles])

    workspace.execute(*receipts)

    poison = receipts.pop(position)
    _assert_internal_error(workspace, poison)
    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert [task.id for task in workspace.tasks()] == sorted(receipt.target_id for receipt in receipts)
    assert len(workspace.events()) == 13


def _twice(event: AuditEvent) -> list[AuditEvent]:
    return [event, event]


def _of_no_outcome(event: AuditEvent) -> list[AuditEvent]:
    return [replace(event, outcome="lost")]  # type: ignore[arg-type]


@pytest.mark.parametrize("spoil", [_twice, _of_no_outcome])
def test_a_command_whose_event_a_constraint_refuses_fails_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[AuditEvent], list[AuditEvent]]
) -> None:
    """That statement is in the middle of those that go in one round trip."""
    receipts = workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(7)])

    def append(connection: Connection[Any], events: list[AuditEvent]) -> None:
        spoiled = {(receipts[3].target_id, "applied")}
        each_spoiled = [spoil(each) if (each.target_id, each.outcome) in spoiled else [each] for each in events]
        append_events(connection, [event for group in each_spoiled for event in group])

    monkeypatch.setattr(core.execution, "append_events", append)

    workspace.execute(*receipts)

    _assert_internal_error(workspace, receipts.pop(3))
    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert len(workspace.events()) == 7


def test_several_poisoned_commands_of_a_batch_fail_and_no_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, CreateTask, "poison", unwritable(create_task, title="\x00"))
    poisoned = {0, 1, 5, 14}
    receipts = workspace.accept(
        *[CreateTask(title="poison" if number in poisoned else f"Task {number}") for number in range(15)]
    )

    workspace.execute(*receipts)

    failed = [number for number, status in enumerate(workspace.statuses(receipts)) if status == "failed"]
    assert failed == sorted(poisoned)
    assert len(workspace.events()) == 15


def test_what_was_poisoned_is_missing_from_the_line_of_its_task_and_the_rest_keeps_its_order(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, UpdateTask, "poison", unwritable(update_task, completed_note="\x00"))
    (created,) = workspace.accept(CreateTask(title="Call Jane"))
    line = workspace.accept(
        UpdateTask(task_id=created.target_id, status="canceled"),
        UpdateTask(task_id=created.target_id, status="open"),
        UpdateTask(task_id=created.target_id, status="completed", completed_note="poison"),
        UpdateTask(task_id=created.target_id, status="canceled"),
    )

    workspace.execute(created, *line)

    assert workspace.statuses(line) == ["succeeded", "succeeded", "failed", "succeeded"]
    assert workspace.task(created.target_id).status == "canceled"
    assert [event.previous_status for event in workspace.events()] == [None, "open", "canceled", "open", "open"]


def test_a_poisoned_command_counts_the_run_that_it_had(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, CreateTask, "poison", unwritable(create_task, title="\x00"))
    receipts = workspace.accept(CreateTask(title="poison"), CreateTask(title="Call Jane"))

    workspace.execute(*receipts)

    assert [workspace.request(receipt).attempts for receipt in receipts] == [1, 1]


def test_a_crashing_command_is_run_again_and_then_fails_with_internal_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, CreateTask, "crash", raising(RuntimeError("boom")))
    (receipt,) = workspace.accept(CreateTask(title="crash"))
    attempts = []

    for _ in range(workspace.settings.max_attempts):
        assert workspace.statuses([receipt]) == ["queued"]
        workspace.execute(receipt)
        attempts.append(workspace.request(receipt).attempts)

    assert attempts == list(range(1, workspace.settings.max_attempts + 1))
    _assert_internal_error(workspace, receipt)
    assert "boom" not in str(workspace.request(receipt).error)


def test_a_command_that_crashes_once_succeeds_on_its_next_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="crash"))
    with monkeypatch.context() as crashing:
        install(crashing, CreateTask, "crash", raising(RuntimeError()))
        workspace.execute(receipt)

    workspace.execute(receipt)

    assert workspace.statuses([receipt]) == ["succeeded"]
    assert workspace.request(receipt).attempts == 2


def test_later_requests_of_a_task_wait_for_one_that_crashed_and_others_do_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing, other = workspace.create("Crashing"), workspace.create("Other")
    with monkeypatch.context() as patch:
        install(patch, UpdateTask, "crash", raising(RuntimeError()))
        line = workspace.accept(
            UpdateTask(task_id=crashing, status="completed", completed_note="crash"),
            UpdateTask(task_id=other, status="completed"),
            UpdateTask(task_id=crashing, status="open"),
        )
        workspace.execute(*line)
        assert workspace.statuses(line) == ["queued", "succeeded", "queued"]

    workspace.execute(line[0])

    assert workspace.statuses(line) == ["succeeded"] * 3
    assert [event.new_status for event in workspace.events(crashing)] == ["open", "completed", "open"]


@pytest.mark.parametrize("filling", range(6))
def test_a_poisoned_neighbour_does_not_let_a_task_overtake_its_own_crashed_request(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, filling: int
) -> None:
    task_id = workspace.create()
    with monkeypatch.context() as patch:
        install(patch, UpdateTask, "crash", raising(RuntimeError()))
        install(patch, CreateTask, "poison", unwritable(create_task, title="\x00"))
        receipts = workspace.accept(
            UpdateTask(task_id=task_id, status="completed", completed_note="crash"),
            *[CreateTask(title=f"Task {number}") for number in range(filling)],
            CreateTask(title="poison"),
            UpdateTask(task_id=task_id, status="canceled"),
        )
        workspace.execute(*receipts)
        assert workspace.statuses(receipts) == ["queued", *["succeeded"] * filling, "failed", "queued"]

    workspace.execute(*receipts)

    assert workspace.statuses([receipts[0], receipts[-1]]) == ["succeeded", "failed"]
    assert workspace.task(task_id).status == "completed"


@pytest.mark.parametrize("payload", ['{"nonsense": 1}', '{"title": 1}', "{}"])
def test_a_payload_that_this_release_cannot_read_ends_as_internal_error(workspace: Workspace, payload: str) -> None:
    unreadable, neighbour = workspace.accept(CreateTask(title="Call Jane"), CreateTask(title="Call Joe"))
    workspace.connection.execute(
        "UPDATE requests SET payload = %s WHERE (tenant_id, id) = (%s, %s)",
        (payload, workspace.tenant_id, unreadable.request_id),
    )

    for _ in range(workspace.settings.max_attempts):
        workspace.execute(unreadable, neighbour)

    _assert_internal_error(workspace, unreadable)
    assert workspace.statuses([neighbour]) == ["succeeded"]


def test_a_kind_that_this_release_does_not_know_ends_as_internal_error(workspace: Workspace) -> None:
    unknown, neighbour = workspace.accept(CreateTask(title="Call Jane"), CreateTask(title="Call Joe"))
    workspace.connection.execute(
        "UPDATE requests SET command = 'task.juggle' WHERE (tenant_id, id) = (%s, %s)",
        (workspace.tenant_id, unknown.request_id),
    )

    for _ in range(workspace.settings.max_attempts):
        workspace.execute(unknown, neighbour)

    _assert_internal_error(workspace, unknown)
    assert workspace.event(unknown).action == "task.juggle"
    assert workspace.statuses([neighbour]) == ["succeeded"]


def _die(workspace: Workspace, receipt: Receipt) -> None:
    with pytest.raises(Killed):
        workspace.run_alone(workspace.batch(receipt))


def test_a_command_that_kills_its_worker_is_given_up_after_its_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, CreateTask, "deadly", raising(Killed()))
    (receipt,) = workspace.accept(CreateTask(title="deadly"))
    for _ in range(workspace.settings.max_attempts):
        _die(workspace, receipt)
        assert workspace.statuses([receipt]) == ["queued"]

    workspace.run_alone(workspace.batch(receipt))

    _assert_internal_error(workspace, receipt)
    assert workspace.request(receipt).attempts == workspace.settings.max_attempts


def test_deaths_of_a_worker_in_a_batch_are_not_held_against_anybody(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = workspace.accept(CreateTask(title="deadly"), CreateTask(title="Call Jane"))
    with monkeypatch.context() as patch:
        install(patch, CreateTask, "deadly", raising(Killed()))
        for _ in range(10):
            with pytest.raises(Killed):
                workspace.execution().run(workspace.batch(*receipts))

    assert [workspace.request(receipt).attempts for receipt in receipts] == [0, 0]


def test_a_suspect_that_is_innocent_succeeds_alone_and_leaves_its_neighbours(workspace: Workspace) -> None:
    suspect, neighbour = workspace.accept(CreateTask(title="Call Jane"), CreateTask(title="Call Joe"))

    executed = workspace.run_alone(workspace.batch(suspect))

    assert [request.id for request in executed.finished] == [suspect.request_id]
    assert workspace.statuses([suspect, neighbour]) == ["succeeded", "queued"]
    assert workspace.request(suspect).attempts == 1


def test_a_suspect_behind_others_is_reached_one_run_at_a_time(workspace: Workspace) -> None:
    task_id = workspace.create()
    line = workspace.update(task_id, "completed", "open", "canceled")
    finished = []
    left = workspace.batch(line[2])

    while left:
        executed = workspace.run_alone(left)
        finished.append([request.id for request in executed.finished])
        left = executed.left

    assert finished == [[receipt.request_id] for receipt in line]
    assert workspace.task(task_id).status == "canceled"


def test_a_suspect_that_crashes_fails_after_its_runs(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, CreateTask, "crash", raising(RuntimeError()))
    (receipt,) = workspace.accept(CreateTask(title="crash"))
    runs = 0

    while workspace.statuses([receipt]) == ["queued"]:
        workspace.run_alone(workspace.batch(receipt))
        runs += 1

    assert runs == workspace.request(receipt).attempts == workspace.settings.max_attempts
    _assert_internal_error(workspace, receipt)


@unwritable_values
def test_a_suspect_that_cannot_be_written_fails_in_one_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    install(monkeypatch, CreateTask, "poison", unwritable(create_task, **values))
    (receipt,) = workspace.accept(CreateTask(title="poison"))

    workspace.run_alone(workspace.batch(receipt))

    _assert_internal_error(workspace, receipt)
    assert workspace.request(receipt).attempts == 1


def test_running_a_finished_request_alone_does_nothing(workspace: Workspace) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    workspace.execute(receipt)
    before = workspace.request(receipt)

    assert workspace.run_alone(workspace.batch(receipt)).finished == []

    assert workspace.request(receipt) == before
