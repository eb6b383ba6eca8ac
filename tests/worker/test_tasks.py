"""What a message makes a worker do, from the lane and back to it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

import core.reconciler
import worker.tasks
from core.acceptance import Receipt
from core.queue import EXECUTE, RECONCILE, celery_app
from core.settings import Settings
from core.tasks.commands import CreateTask
from tests.core.crashes import install, raising
from tests.lanes import Lanes
from tests.workspaces import Workspace
from worker.runner import Runner
from worker.tasks import execute, reconcile


@pytest.fixture
def hot_line(workspace: Workspace, new_runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch) -> list[Receipt]:
    """More requests of one task than a transaction takes, accepted long ago."""
    runner = new_runner(execution_batch=3)
    monkeypatch.setattr(worker.tasks, "_runner", lambda: runner)
    receipts = workspace.update(workspace.create(), *["completed", "open"] * 4)
    _age(workspace)
    return receipts


def _age(workspace: Workspace) -> None:
    workspace.connection.execute(
        "UPDATE requests SET sent_at = sent_at - %s WHERE tenant_id = %s", (timedelta(hours=1), workspace.tenant_id)
    )


def _deliver(workspace: Workspace, lanes: Lanes) -> None:
    """Take the oldest message of the workspace from its lane and run it."""
    (message, *_) = lanes.messages("interactive", workspace.tenant_id)
    lanes.clear()
    execute("interactive", message.batch, alone=message.alone)


def test_the_tasks_have_the_names_that_messages_call_them_by() -> None:
    assert {EXECUTE, RECONCILE} <= set(celery_app().tasks)


def test_what_a_bound_leaves_goes_to_the_end_of_the_lane_until_nothing_is_left(
    workspace: Workspace, hot_line: list[Receipt], lanes: Lanes
) -> None:
    execute("interactive", workspace.batch(*hot_line), alone=False)
    assert lanes.named("interactive", workspace.tenant_id) == [receipt.request_id for receipt in hot_line[3:]]

    _deliver(workspace, lanes)
    _deliver(workspace, lanes)

    assert lanes.messages("interactive", workspace.tenant_id) == []
    assert set(workspace.statuses(hot_line)) == {"succeeded"}


@pytest.mark.parametrize("alone", [False, True])
def test_the_reconciler_is_quiet_about_what_a_message_carries_on(
    workspace: Workspace, hot_line: list[Receipt], lanes: Lanes, settings: Settings, *, alone: bool
) -> None:
    execute("interactive", workspace.batch(*hot_line), alone=alone)
    before = lanes.messages("interactive", workspace.tenant_id)

    core.reconciler.reconcile(workspace.connection, settings.model_copy(update={"reconcile_batch": 1_000_000}))

    assert lanes.messages("interactive", workspace.tenant_id) == before
    assert before[0].alone == alone


def test_the_reconciler_sends_again_what_was_carried_on_and_lost(
    workspace: Workspace, hot_line: list[Receipt], lanes: Lanes, settings: Settings
) -> None:
    execute("interactive", workspace.batch(*hot_line), alone=False)
    lanes.clear()
    _age(workspace)

    core.reconciler.reconcile(workspace.connection, settings.model_copy(update={"reconcile_batch": 1_000_000}))

    assert lanes.named("interactive", workspace.tenant_id) == [receipt.request_id for receipt in hot_line[3:]]


def test_what_crashed_waits_for_the_reconciler(
    workspace: Workspace, new_runner: Callable[..., Runner], lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = new_runner(execution_batch=1)
    monkeypatch.setattr(worker.tasks, "_runner", lambda: runner)
    install(monkeypatch, CreateTask, "crash", raising(RuntimeError()))
    (receipt,) = workspace.accept(CreateTask(title="crash"))

    execute("interactive", workspace.batch(receipt), alone=False)
    execute("interactive", workspace.batch(receipt), alone=True)

    assert lanes.messages("interactive", workspace.tenant_id) == []
    assert workspace.request(receipt).attempts == 2


def test_a_round_of_the_reconciler_sends_what_was_lost(
    workspace: Workspace, new_runner: Callable[..., Runner], lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = new_runner(reconcile_batch=1_000_000)
    monkeypatch.setattr(worker.tasks, "_runner", lambda: runner)
    receipts = workspace.accept(CreateTask(title="Call Jane"))
    _age(workspace)

    reconcile()
    _deliver(workspace, lanes)

    assert workspace.statuses(receipts) == ["succeeded"]
