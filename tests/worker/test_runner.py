"""What a worker process does with a message, on servers that fail."""

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from celery.worker import state as celery_state
from psycopg import Connection

import core.execution
import worker.runner
from core.db import connect
from core.execution import Executed
from core.queued import lock_queued, turn
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.queries import save_tasks
from tests.concurrency import at_once, beside, held_at, wait_until
from tests.core.crashes import save_by
from tests.proxy import WeakServer
from tests.workspaces import Workspace
from worker.runner import Runner

either_way = pytest.mark.parametrize("alone", [False, True], ids=["in a batch", "alone"])


def _failing(times: int, fail: Callable[[Connection[Any]], None]) -> Callable[..., None]:
    """Return a `save_tasks` that fails the first times."""
    left = iter(range(times))

    def save_or_fail(connection: Connection[Any], tasks: list[Any]) -> None:
        if next(left, None) is not None:
            fail(connection)
        save_tasks(connection, tasks)

    return save_or_fail


def _deadlock(connection: Connection[Any]) -> None:
    connection.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")


def _break(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@either_way
@pytest.mark.parametrize("fail", [_deadlock, _break])
def test_a_database_that_fails_is_tried_again_and_never_counts_as_an_attempt(
    workspace: Workspace,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[Connection[Any]], None],
    *,
    alone: bool,
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    save_by(monkeypatch, _failing(workspace.settings.max_attempts + 1, fail))

    runner.execute(workspace.batch(receipt), alone=alone)

    assert workspace.statuses([receipt]) == ["succeeded"]
    assert workspace.request(receipt).attempts == 1
    assert len(workspace.events()) == 1


def _cut(weak: WeakServer) -> None:
    weak.proxy.cut()
    weak.proxy.restore()


@pytest.mark.parametrize("step", ["append_events", "finish_requests"])
@pytest.mark.parametrize("fail", [_deadlock, _break, None], ids=["deadlock", "end of the session", "cut connection"])
def test_a_failure_between_the_statements_of_a_write_is_the_databases(
    workspace: Workspace,
    weak_postgres: WeakServer,
    new_runner: Callable[..., Runner],
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[Connection[Any]], None] | None,
    step: str,
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    take, failing = getattr(core.execution, step), iter([True])

    def take_or_fail(connection: Connection[Any], *args: Any, **kwargs: Any) -> None:
        if next(failing, False):
            fail(connection) if fail else _cut(weak_postgres)
        take(connection, *args, **kwargs)

    monkeypatch.setattr(core.execution, step, take_or_fail)

    new_runner(weak_postgres.settings).execute(workspace.batch(receipt), alone=False)

    assert workspace.statuses([receipt]) == ["succeeded"]
    assert workspace.request(receipt).attempts == 1


def test_a_message_is_held_while_postgres_is_away_and_executed_when_it_is_back(
    workspace: Workspace, weak_postgres: WeakServer, new_runner: Callable[..., Runner]
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    weak_postgres.proxy.cut()
    runner = new_runner(weak_postgres.settings)
    with beside(lambda: runner.execute(workspace.batch(receipt), alone=False)) as executing:
        assert not executing.done()
        weak_postgres.proxy.restore()

    assert [request.id for request in executing.result().finished] == [receipt.request_id]
    assert workspace.statuses([receipt]) == ["succeeded"]


def test_a_message_is_dropped_when_patience_ends_and_the_request_stays_queued(
    workspace: Workspace,
    weak_postgres: WeakServer,
    new_runner: Callable[..., Runner],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    weak_postgres.proxy.cut()
    monkeypatch.setattr(worker.runner, "_PATIENCE", 0.0)

    with pytest.raises(psycopg.OperationalError):
        new_runner(weak_postgres.settings).execute(workspace.batch(receipt), alone=False)

    assert workspace.statuses([receipt]) == ["queued"]


def test_a_worker_that_is_told_to_stop_does_not_wait_for_postgres(
    workspace: Workspace,
    weak_postgres: WeakServer,
    new_runner: Callable[..., Runner],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    weak_postgres.proxy.cut()
    monkeypatch.setattr(worker.runner, "_PATIENCE", 1_000_000.0)
    monkeypatch.setattr(celery_state, "should_stop", 0)

    with pytest.raises(psycopg.OperationalError):
        new_runner(weak_postgres.settings).execute(workspace.batch(receipt), alone=False)


@pytest.mark.parametrize("step", ["existing", "append_events"])
def test_a_worker_that_stops_in_mid_batch_does_not_hold_up_the_others(
    workspace: Workspace, new_runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    task_id = workspace.create()
    (held,) = workspace.update(task_id, "completed")
    (behind,), (other,) = workspace.update(task_id, "open"), workspace.accept(CreateTask(title="Call Joe"))
    stopped, going = new_runner(), new_runner()
    with (
        held_at(step, monkeypatch) as (there, go),
        beside(lambda: stopped.execute(workspace.batch(held), alone=False)) as executing,
    ):
        assert there.wait(30)
        assert going.execute(workspace.batch(behind, other), alone=False) == Executed([], {})
        going.execute(workspace.batch(other), alone=False)
        assert workspace.statuses([held, behind, other]) == ["queued", "queued", "succeeded"]
        wait_until(lambda: bool(going.execute(workspace.batch(behind), alone=False).finished))
        go.set()

    assert executing.result() == Executed([], {})
    assert workspace.statuses([held, behind]) == ["succeeded", "succeeded"]
    assert [workspace.request(receipt).attempts for receipt in (held, behind)] == [1, 1]


@either_way
def test_a_message_that_must_wait_for_another_worker_is_dropped_and_counts_no_attempt(
    workspace: Workspace, runner: Runner, *, alone: bool
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    with connect(workspace.settings) as other, other.transaction():
        lock_queued(other, workspace.batch(receipt), 1)

        assert runner.execute(workspace.batch(receipt), alone=alone) == Executed([], {})

    assert workspace.request(receipt).attempts == 0
    assert runner.execute(workspace.batch(receipt), alone=alone).finished


def test_workers_that_run_suspects_of_one_line_at_once_fail_none_that_is_innocent(
    workspace: Workspace, new_runner: Callable[..., Runner]
) -> None:
    line = workspace.update(workspace.create(), *["completed", "open"] * 12)
    runners = [new_runner() for _ in range(8)]

    def deliver(runner: Runner, number: int) -> None:
        """Run every eighth request of the line alone, until it is finished; what is dropped is sent again."""
        for receipt in line[number :: len(runners)]:
            while workspace.statuses([receipt]) == ["queued"]:
                runner.execute(workspace.batch(receipt), alone=True)

    at_once([partial(deliver, runner, number) for number, runner in enumerate(runners)])

    assert workspace.statuses(line) == ["succeeded"] * len(line)
    assert [workspace.request(receipt).attempts for receipt in line] == [1] * len(line)


def test_a_worker_that_stops_during_its_turn_loses_it(workspace: Workspace, runner: Runner) -> None:
    batch = workspace.batch(*workspace.accept(CreateTask(title="Call Jane")))

    with turn(workspace.settings, batch):
        assert runner.execute(batch, alone=True) == Executed([], {})
        wait_until(lambda: bool(runner.execute(batch, alone=True).finished))


@either_way
def test_without_valkey_a_message_in_hand_is_executed_all_the_same(
    workspace: Workspace, weak_valkey: WeakServer, new_runner: Callable[..., Runner], *, alone: bool
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    weak_valkey.proxy.cut()

    new_runner(weak_valkey.settings).execute(workspace.batch(receipt), alone=alone)

    assert workspace.statuses([receipt]) == ["succeeded"]


def test_whoever_waits_is_woken_after_the_commit(
    workspace: Workspace, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = workspace.accept(CreateTask(title="Call Jane"), UpdateTask(task_id="task_none"))
    seen: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(runner._waker, "wake", lambda ids: seen.append((ids, workspace.statuses(receipts))))

    runner.execute(workspace.batch(*receipts), alone=False)

    assert seen == [([receipt.request_id for receipt in receipts], ["succeeded", "failed"])]


def test_a_connection_that_broke_between_messages_is_made_anew(workspace: Workspace, runner: Runner) -> None:
    for _ in range(3):
        (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
        runner.execute(workspace.batch(receipt), alone=False)
        assert workspace.statuses([receipt]) == ["succeeded"]
        workspace.connection.execute("SELECT pg_terminate_backend(%s, 10000)", (runner._connect().info.backend_pid,))
