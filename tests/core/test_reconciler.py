"""The only redelivery: what was lost is sent again, what is merely late is not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

import core.reconciler
from core.acceptance import Receipt
from core.db import connect
from core.queue import BROKER_ERRORS, Batch, Lane, publish
from core.queued import lock_queued
from core.reconciler import reconcile
from core.settings import Settings
from core.tasks.commands import CreateTask
from tests.concurrency import at_once
from tests.lanes import Lanes
from tests.workspaces import Workspace

_LONG = timedelta(hours=1)


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Settings under which a round takes whatever other tests left queued, too."""
    return settings.model_copy(update={"reconcile_batch": 1_000_000})


def _ids(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.request_id for receipt in receipts]


def _accept(workspace: Workspace, number: int = 1, *, sent: timedelta = _LONG, sends: int = 0) -> list[Receipt]:
    """Accept requests whose message was sent, and sent again, so many times and so long ago."""
    receipts = workspace.accept(*[CreateTask(title=f"Task {each}") for each in range(number)])
    _date(workspace, receipts, sent, sends)
    return receipts


def _date(workspace: Workspace, receipts: Sequence[Receipt], sent: timedelta, sends: int) -> None:
    workspace.connection.execute(
        "UPDATE requests SET sent_at = now() - %s, sends = %s WHERE tenant_id = %s AND id = ANY(%s)",
        (sent, sends, workspace.tenant_id, _ids(receipts)),
    )


def _sends(workspace: Workspace, receipts: Sequence[Receipt]) -> list[int]:
    rows = workspace.connection.execute(
        "SELECT sends FROM requests WHERE tenant_id = %s AND id = ANY(%s) ORDER BY seq",
        (workspace.tenant_id, _ids(receipts)),
    )
    return [sends for (sends,) in rows]


def test_a_request_whose_message_was_lost_is_sent_again_once(
    workspace: Workspace, patient: Settings, lanes: Lanes
) -> None:
    receipts = _accept(workspace, 3)

    reconcile(workspace.connection, patient)
    reconcile(workspace.connection, patient)

    (message,) = lanes.messages("interactive", workspace.tenant_id)
    assert message.batch == workspace.batch(*receipts)
    assert not message.alone
    assert _sends(workspace, receipts) == [1, 1, 1]


def test_a_round_says_how_many_it_sent(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    reconcile(workspace.connection, patient)
    _accept(workspace, 3)

    assert reconcile(workspace.connection, patient) == 3
    assert reconcile(workspace.connection, patient) == 0


def test_what_was_sent_a_moment_ago_is_left_alone(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    receipts = _accept(workspace, 3, sent=timedelta())

    reconcile(workspace.connection, patient)

    assert lanes.messages("interactive", workspace.tenant_id) == []
    assert _sends(workspace, receipts) == [0, 0, 0]


def test_finished_requests_are_never_sent(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    receipts = _accept(workspace)
    workspace.execute(*receipts)
    _date(workspace, receipts, _LONG, 0)

    reconcile(workspace.connection, patient)

    assert lanes.messages("interactive", workspace.tenant_id) == []


@pytest.mark.parametrize(("sends", "seconds"), [(0, 4), (1, 8), (2, 8), (100, 8)])
def test_the_wait_doubles_after_the_first_send_again_and_grows_no_more(
    workspace: Workspace, patient: Settings, lanes: Lanes, sends: int, seconds: float
) -> None:
    wait = timedelta(seconds=seconds)
    early = _accept(workspace, sent=wait - timedelta(seconds=patient.resend_after / 2), sends=sends)
    due = _accept(workspace, sent=wait + timedelta(seconds=1), sends=sends)

    reconcile(workspace.connection, patient)

    assert lanes.named("interactive", workspace.tenant_id) == _ids(due)
    assert _sends(workspace, early + due) == [sends, sends + 1]


def test_a_lane_that_is_merely_busy_is_quiet(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    receipts = _accept(workspace, 3)
    publish("interactive", {"ten_ahead": ["req_ahead"]}, sent_at=datetime.now(UTC) - 2 * _LONG)

    reconcile(workspace.connection, patient)

    assert lanes.messages("interactive", workspace.tenant_id) == []
    assert _sends(workspace, receipts) == [0, 0, 0]


def test_what_a_busy_lane_has_passed_is_lost(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    passed = _accept(workspace, sent=2 * _LONG)
    waiting = _accept(workspace, sent=_LONG)
    publish("interactive", {"ten_ahead": ["req_ahead"]}, sent_at=datetime.now(UTC) - 1.5 * _LONG)
    publish("interactive", workspace.batch(*waiting), sent_at=datetime.now(UTC) - _LONG)

    reconcile(workspace.connection, patient)

    assert _sends(workspace, passed + waiting) == [1, 0]


def test_a_busy_lane_does_not_keep_the_other_waiting(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    publish("bulk", {"ten_ahead": ["req_ahead"]}, sent_at=datetime.now(UTC) - 2 * _LONG)
    receipts = _accept(workspace)

    reconcile(workspace.connection, patient)

    assert lanes.named("interactive", workspace.tenant_id) == _ids(receipts)


def test_each_lane_gets_back_what_is_its_own(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    (interactive,) = workspace.accept(CreateTask(title="Call Jane"))
    (bulk,) = workspace.accept(CreateTask(title="Import Jane"), lane="bulk")
    _date(workspace, [interactive, bulk], _LONG, 0)

    reconcile(workspace.connection, patient)

    assert lanes.named("interactive", workspace.tenant_id) == [interactive.request_id]
    assert lanes.named("bulk", workspace.tenant_id) == [bulk.request_id]


def test_messages_hold_as_many_as_a_transaction_executes_in_the_order_of_their_places(
    workspace: Workspace, patient: Settings, lanes: Lanes
) -> None:
    reconcile(workspace.connection, patient)
    lanes.clear()
    receipts = _accept(workspace, 25)
    for position, receipt in enumerate(receipts):  # the last was sent first
        _date(workspace, [receipt], _LONG + timedelta(seconds=position), 0)

    reconcile(workspace.connection, patient.model_copy(update={"execution_batch": 10}))

    sizes = [len(message.batch[workspace.tenant_id]) for message in lanes.messages("interactive", workspace.tenant_id)]
    assert sizes == [10, 10, 5]
    assert lanes.named("interactive", workspace.tenant_id) == _ids(receipts)


def test_a_round_is_bounded_and_takes_what_has_waited_longest(
    workspace: Workspace, patient: Settings, lanes: Lanes
) -> None:
    first, second = _accept(workspace, sent=timedelta(days=900)), _accept(workspace, sent=timedelta(days=800))

    reconcile(workspace.connection, patient.model_copy(update={"reconcile_batch": 1}))

    assert _sends(workspace, first + second) == [1, 0]


def test_two_rounds_at_once_send_once(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    receipts = _accept(workspace, 300)

    def round_() -> None:
        with connect(workspace.settings, worker=True) as connection:
            reconcile(connection, patient)

    at_once([round_] * 4)

    assert sorted(lanes.named("interactive", workspace.tenant_id)) == sorted(_ids(receipts))
    assert set(_sends(workspace, receipts)) == {1}


def test_what_a_worker_executes_is_passed_over(workspace: Workspace, patient: Settings, lanes: Lanes) -> None:
    executing, lost = _accept(workspace), _accept(workspace)

    with connect(workspace.settings) as worker, worker.transaction():
        lock_queued(worker, workspace.batch(*executing), 1)
        reconcile(workspace.connection, patient)

    assert lanes.named("interactive", workspace.tenant_id) == _ids(lost)


def test_a_request_that_was_sent_again_in_vain_runs_alone(
    workspace: Workspace, patient: Settings, lanes: Lanes
) -> None:
    receipts = _accept(workspace, 2, sends=2)
    fresh = _accept(workspace, 2, sends=1)

    reconcile(workspace.connection, patient)

    batch, *alone = lanes.messages("interactive", workspace.tenant_id)
    assert (batch.batch, batch.alone) == (workspace.batch(*fresh), False)
    assert [(each.batch, each.alone) for each in alone] == [(workspace.batch(receipt), True) for receipt in receipts]


def test_the_rows_of_suspects_are_free_when_their_messages_are_sent(
    workspace: Workspace, patient: Settings, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be many of these messages, and whoever receives one must not wait until the last is sent."""
    (receipt,) = _accept(workspace, sends=2)
    batch = workspace.batch(receipt)

    def publish_and_lock(lane: Lane, sent: Batch, **rest: Any) -> None:
        publish(lane, sent, **rest)
        if sent == batch:
            with connect(workspace.settings, worker=True) as worker:
                lock_queued(worker, batch, 1)

    monkeypatch.setattr(core.reconciler, "publish", publish_and_lock)

    reconcile(workspace.connection, patient)

    (message,) = lanes.messages("interactive", workspace.tenant_id)
    assert message.alone


@pytest.mark.parametrize("error", BROKER_ERRORS)
@pytest.mark.parametrize("survivors", [0, 1])
def test_what_the_broker_does_not_take_is_not_counted_as_sent(
    workspace: Workspace,
    patient: Settings,
    lanes: Lanes,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    survivors: int,
) -> None:
    receipts = _accept(workspace, 2, sends=1)
    left = iter(range(survivors))

    def publish_or_fail(lane: Lane, batch: Batch, **rest: Any) -> None:
        if workspace.tenant_id in batch and next(left, None) is None:
            raise error
        publish(lane, batch, **rest)

    monkeypatch.setattr(core.reconciler, "publish", publish_or_fail)

    with pytest.raises(error):
        reconcile(workspace.connection, patient.model_copy(update={"execution_batch": 1}))

    assert _sends(workspace, receipts) == [1, 1]
    assert len(lanes.named("interactive", workspace.tenant_id)) == survivors


def test_what_was_sent_again_is_executed_once_though_the_first_message_comes_late(
    workspace: Workspace, connection: Connection[Any], patient: Settings, lanes: Lanes
) -> None:
    receipts = _accept(workspace, 3)
    reconcile(connection, patient)
    (message,) = lanes.messages("interactive", workspace.tenant_id)

    workspace.execution().run(workspace.batch(*receipts))
    workspace.execution().run(message.batch)

    assert workspace.statuses(receipts) == ["succeeded"] * 3
    assert len(workspace.events()) == len(workspace.tasks()) == 3
