"""What takes longer than a statement may: a batch that is too large, and a command that always does."""

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection

import core.execution
from core.db import connect
from core.queue import Batch
from core.queued import QueuedRequest, lock_queued
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Task
from core.tasks.queries import save_tasks
from tests.core.crashes import save_by
from tests.workspaces import Workspace


def _slow(monkeypatch: pytest.MonkeyPatch, is_slow: Callable[[list[Task]], bool]) -> None:
    """Let the tasks of some batches take too long to be written."""

    def save(connection: Connection[Any], tasks: list[Task]) -> None:
        if is_slow(tasks):
            connection.execute("SET LOCAL statement_timeout = 1")
            connection.execute("SELECT pg_sleep(10)")
        save_tasks(connection, tasks)

    save_by(monkeypatch, save)


def test_a_batch_that_takes_too_long_is_halved_until_it_does_not_and_counts_no_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _slow(monkeypatch, lambda tasks: len(tasks) > 3)
    receipts = workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(13)])
    sizes, left = [], workspace.batch(*receipts)

    while left:
        executed = workspace.execution().run(left)
        sizes.append(len(executed.finished))
        left = executed.left

    assert sizes == [3, 2, 2, 3, 3]
    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert [workspace.request(receipt).attempts for receipt in receipts] == [1] * 13


def _deliver(workspace: Workspace, batch: Batch) -> None:
    """Execute a batch, and what is left of it."""
    while batch:
        batch = workspace.execution().run(batch).left


def test_a_command_that_always_takes_too_long_fails_after_its_runs_and_no_other_does(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _slow(monkeypatch, lambda tasks: any(task.title == "slow" for task in tasks))
    receipts = workspace.accept(*[CreateTask(title="slow" if number == 4 else "x") for number in range(9)])
    slow = receipts[4]

    for _ in range(workspace.settings.max_attempts):
        assert workspace.statuses([slow]) == ["queued"]
        _deliver(workspace, workspace.batch(*receipts))

    assert workspace.statuses(receipts) == ["succeeded"] * 4 + ["failed"] + ["succeeded"] * 4
    assert [workspace.request(receipt).attempts for receipt in receipts] == [1] * 4 + [4] + [1] * 4
    error = workspace.request(slow).error
    assert error is not None
    assert error["code"] == "internal_error"
    assert workspace.event(slow).outcome == "failed"


def test_later_requests_of_a_task_wait_for_one_that_took_too_long(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = workspace.create()
    line = workspace.accept(UpdateTask(task_id=task_id, status="completed"), UpdateTask(task_id=task_id, status="open"))
    with monkeypatch.context() as patch:
        _slow(patch, lambda _: True)
        _deliver(workspace, workspace.batch(line[0]))
        assert [workspace.request(receipt).attempts for receipt in line] == [1, 0]

    workspace.execute(*line)

    assert workspace.statuses(line) == ["succeeded"] * 2
    assert [workspace.request(receipt).attempts for receipt in line] == [2, 1]


def test_a_suspect_that_always_takes_too_long_fails_after_its_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _slow(monkeypatch, lambda _: True)
    (receipt,) = workspace.accept(CreateTask(title="slow"))

    for runs in range(workspace.settings.max_attempts):
        assert workspace.statuses([receipt]) == ["queued"]
        assert workspace.request(receipt).attempts == runs
        workspace.run_alone(workspace.batch(receipt))

    assert workspace.statuses([receipt]) == ["failed"]
    assert workspace.request(receipt).attempts == workspace.settings.max_attempts


def test_the_next_in_line_is_not_taken_for_the_slow_one_that_another_worker_finished_meanwhile(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = workspace.update(workspace.create(), "completed", "open")
    slow, overtaken = iter([True]), iter([False, True])
    _slow(monkeypatch, lambda _: next(slow, False))

    def lock(*args: Any) -> list[QueuedRequest]:
        if next(overtaken, False):
            with connect(workspace.settings, worker=True) as other:
                workspace.execution(other, limit=1).run(workspace.batch(first))
        return lock_queued(*args)

    monkeypatch.setattr(core.execution, "lock_queued", lock)

    workspace.execution(limit=1).run(workspace.batch(first, second))

    assert [workspace.request(receipt).attempts for receipt in (first, second)] == [1, 0]
