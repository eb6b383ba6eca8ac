"""Deciding a batch in memory: each command sees what those before it decided."""

from datetime import timedelta
from typing import Any

import pytest

from core.decisions import Asked, Decided, decide, read, refuse
from core.errors import InternalError
from core.handlers import State
from core.queued import QueuedRequest
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Task
from tests.core.crashes import install, raising
from tests.core.tasks.deciding import NOW, OPEN


def _request(number: int, command: str = "task.update", *, task: str = "task_1", **payload: Any) -> Asked:
    request = QueuedRequest(
        tenant_id="ten_1",
        id=f"req_{number}",
        command=command,
        payload=payload if command == "task.create" else {"task_id": task, **payload},
        target_type="task",
        target_id=task,
        actor_id="usr_1",
        actor_type="user",
        actor_name="Pat Person",
        source="api",
        attempts=0,
    )
    return read(request)


def _state(*tasks: Task) -> State:
    return State({task.target: task for task in tasks})


def _tasks(decided: Decided) -> list[Task]:
    return [record for record in decided.changed() if isinstance(record, Task)]


def test_each_command_sees_what_those_before_it_decided() -> None:
    decided = decide(
        [
            _request(1, "task.create", title="Call Jane"),
            _request(2, status="completed"),
            _request(3, status="canceled"),
            _request(4, status="open"),
        ],
        _state(),
        NOW,
        runs_left=lambda _: True,
    )

    events = [verdict.audit_event() for verdict in decided.verdicts]
    assert [(event.previous_status, event.new_status, event.outcome) for event in events] == [
        (None, "open", "applied"),
        ("open", "completed", "applied"),
        ("completed", "completed", "failed"),
        ("completed", "open", "applied"),
    ]
    assert [(task.status, task.revision) for task in _tasks(decided)] == [("open", 3)]


def test_commands_of_a_batch_are_decided_a_microsecond_apart() -> None:
    decided = decide([_request(1), _request(2), _request(3)], _state(OPEN), NOW, runs_left=lambda _: True)

    assert [verdict.decided_at for verdict in decided.verdicts] == [
        NOW + timedelta(microseconds=number) for number in range(3)
    ]


def test_a_task_that_nothing_changed_is_not_written() -> None:
    decided = decide([_request(1, status="open"), _request(2)], _state(OPEN), NOW, runs_left=lambda _: True)

    assert len(decided.verdicts) == 2
    assert decided.changed() == []


def test_a_crash_puts_off_its_request_and_those_behind_it_and_no_other_task(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, UpdateTask, "crash", raising(RuntimeError()))
    requests = [
        _request(1, completed_note="crash"),
        _request(2, "task.create", task="task_2", title="Call Joe"),
        _request(3, status="completed"),
    ]

    decided = decide(requests, _state(OPEN), NOW, runs_left=lambda _: True)

    assert decided.postponed == [requests[0].request]
    assert [verdict.request.id for verdict in decided.verdicts] == ["req_2"]


def test_a_crash_without_runs_left_fails_and_lets_the_line_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, UpdateTask, "crash", raising(RuntimeError("secret")))

    decided = decide(
        [_request(1, completed_note="crash"), _request(2, status="completed")],
        _state(OPEN),
        NOW,
        runs_left=lambda _: False,
    )

    failed, succeeded = [verdict.finish() for verdict in decided.verdicts]
    assert failed.error is not None
    assert failed.error["code"] == "internal_error"
    assert "secret" not in str(failed.error)
    assert succeeded.error is None


def test_refusing_a_request_records_what_it_wished_for() -> None:
    (verdict,) = refuse(_request(1, status="completed"), _state(OPEN), NOW, InternalError("no")).verdicts

    event = verdict.audit_event()
    assert (event.action, event.requested_status) == ("task.complete", "completed")
    assert (event.previous_status, event.new_status, event.outcome) == ("open", "open", "failed")


def test_an_event_shares_the_suffix_of_its_request() -> None:
    (verdict,) = decide([_request(7)], _state(OPEN), NOW, runs_left=lambda _: True).verdicts

    assert verdict.audit_event().id == "aud_7"


def test_creates_of_one_batch_are_all_written() -> None:
    requests = [_request(number, "task.create", task=f"task_{number}", title="x") for number in range(5)]

    decided = decide(requests, _state(), NOW, runs_left=lambda _: True)

    assert [task.id for task in _tasks(decided)] == [f"task_{number}" for number in range(5)]
    assert all(isinstance(verdict.command, CreateTask) for verdict in decided.verdicts)
