"""The whole spine under faults: nothing accepted is lost, done twice, or done out of order.

Real Postgres; the lanes are a list that loses, doubles and shuffles messages. Workers die and roll back anywhere,
commands crash and cannot be written, clients repeat what they sent. In the end every task must be as its receipts say.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

import core.execution
import core.reconciler
from core.acceptance import Receipt
from core.commands import Command
from core.db import connect
from core.errors import DomainError
from core.handlers import HANDLERS, Context, Decision, State
from core.queue import Batch, Lane
from core.queued import finish_requests
from core.reconciler import reconcile
from core.records import Target
from core.settings import Settings
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.handlers import update_task
from core.tasks.model import Task
from core.tasks.queries import save_tasks
from tests.concurrency import at_once, wait_until
from tests.core.crashes import Killed, install, raising, save_by, unwritable
from tests.workspaces import Workspace

_CLIENTS = 4
_TASKS_EACH = 6
_UPDATES = 16
_WORKERS = 3


@dataclass
class Faults:
    """The dice of one run, and the lanes that suffer from them."""

    chance: random.Random
    messages: list[tuple[Batch, bool]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ending: threading.Event = field(default_factory=threading.Event)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def happens(self, fault: str, probability: float) -> bool:
        with self.lock:
            happens = self.chance.random() < probability
            self.counts[fault] += happens
        return happens

    def send(self, batch: Batch, *, alone: bool = False) -> None:
        for _ in range(0 if self.happens("lost", 0.1) else 2 if self.happens("doubled", 0.2) else 1):
            with self.lock:
                self.messages.insert(self.chance.randint(0, len(self.messages)), (batch, alone))

    def take(self) -> tuple[Batch, bool] | None:
        with self.lock:
            return self.messages.pop() if self.messages else None


@contextmanager
def _suffering(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the spine suffer while the block runs."""

    def publish(_: Lane, batch: Batch, *, alone: bool = False, **__: Any) -> None:
        if faults.happens("refused", 0.02):
            raise OSError("the broker is away")
        faults.send(batch, alone=alone)

    def save(connection: psycopg.Connection[Any], tasks: list[Task]) -> None:
        if faults.happens("cut", 0.02):
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        save_tasks(connection, tasks)

    def finish(*args: Any, **kwargs: Any) -> None:
        finish_requests(*args, **kwargs)
        if faults.happens("killed", 0.02):
            raise Killed
        if faults.happens("rolled back", 0.05):
            raise psycopg.errors.DeadlockDetected

    def crash(command: Command, state: State, context: Context) -> Decision:
        if faults.happens("crashed", 0.3):
            raise RuntimeError
        return update_task(command, state, context)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(core.reconciler, "publish", publish)
        patch.setattr(core.reconciler, "oldest_waiting", lambda _: None)
        save_by(patch, save)
        patch.setattr(core.execution, "finish_requests", finish)
        install(patch, UpdateTask, "stumbles", crash)
        install(patch, UpdateTask, "crashes", raising(RuntimeError()))
        install(patch, UpdateTask, "poison", unwritable(update_task, title="\x00"))
        yield


def _be_a_client(workspace: Workspace, faults: Faults, seed: int) -> list[list[Receipt]]:
    """Write to some tasks, each write after the receipt of the one before; return the receipts by task."""
    chance = random.Random(seed)
    lines = [[_submit(workspace, CreateTask(title=f"Task {number}"), faults)] for number in range(_TASKS_EACH)]
    for step in range(_UPDATES):
        for line in chance.sample(lines, len(lines)):
            members: dict[str, Any] = {"task_id": line[0].target_id, "status": chance.choice(["open", "canceled"])}
            if chance.random() < 0.5:
                word = chance.choice(["fine"] * 12 + ["stumbles"] * 3 + ["crashes", "poison"])
                members |= {"status": "completed", "completed_note": f"{word} {step}"}
            line.append(_submit(workspace, UpdateTask.model_validate(members), faults))
    return lines


def _submit(workspace: Workspace, command: Command, faults: Faults) -> Receipt:
    submission = workspace.submission(command, idempotency_key=f"{faults.chance.random()}")
    (receipt,) = workspace.answer([submission])
    assert isinstance(receipt, Receipt)
    if faults.happens("repeated", 0.1):
        (again,) = workspace.accept(command, idempotency_key=submission.idempotency_key)
        assert (again.request_id, again.target_id) == (receipt.request_id, receipt.target_id)
    faults.send({workspace.tenant_id: [receipt.request_id]})
    return receipt


def _be_a_worker(workspace: Workspace, faults: Faults) -> None:
    while not faults.ending.is_set():
        with connect(workspace.settings, worker=True) as connection:
            while not faults.ending.is_set():
                message = faults.take()
                if message is None:
                    faults.ending.wait(0.002)
                    continue
                batch, alone = message
                try:
                    if alone:
                        executed = workspace.run_alone(batch, connection)
                    else:
                        executed = workspace.execution(connection, limit=5).run(batch)
                    faults.send(executed.left)
                except (psycopg.Error, Killed):
                    break  # the message is lost with it


def _reconcile(workspace: Workspace, faults: Faults, settings: Settings) -> None:
    with connect(settings, worker=True) as connection:
        while not faults.ending.wait(0.05):
            try:
                reconcile(connection, settings)
            except OSError:
                continue


def _queued(workspace: Workspace) -> int:
    row = workspace.connection.execute(
        "SELECT count(*) FROM requests WHERE tenant_id = %s AND status = 'queued'", (workspace.tenant_id,)
    ).fetchone()
    return row[0] if row else 0


def _assert_as_its_receipts_say(workspace: Workspace, line: list[Receipt]) -> None:
    """Decide the line once more, without any fault but those that ended a request, and compare."""
    state, now = State(), datetime(2026, 1, 1, tzinfo=UTC)
    target = Target(workspace.tenant_id, "task", line[0].target_id)
    events = {event.request_id: event for event in workspace.events(line[0].target_id)}
    assert len(events) == len(line)
    assert [event.request_id for event in workspace.events(line[0].target_id)] == [each.request_id for each in line]
    for step, receipt in enumerate(line):
        event, request = events[receipt.request_id], workspace.request(receipt)
        before = state.records.get(target)
        context = Context(receipt.request_id, target, workspace.person.actor, "api", now + timedelta(seconds=step))
        command = _command(workspace, receipt)
        outcome: str
        if request.error is not None and request.error["code"] == "internal_error":
            assert any(word in command.payload() for word in ("stumbles", "crashes", "poison"))
            outcome = "failed"
        else:
            try:
                decision = HANDLERS[type(command)](command, state, context)
                outcome = decision.outcome
                state.records[target] = decision.record
            except DomainError:
                outcome = "failed"
        assert event.outcome == outcome
        assert (request.status == "failed") == (outcome == "failed")
        assert event.previous_status == (before.status if before else None)
    task, expected = workspace.task(line[0].target_id), state.find(Task, target)
    assert expected is not None
    assert (task.status, task.completed_note, task.revision) == (
        expected.status,
        expected.completed_note,
        expected.revision,
    )


def _command(workspace: Workspace, receipt: Receipt) -> Command:
    row = workspace.connection.execute(
        "SELECT command, payload FROM requests WHERE (tenant_id, id) = (%s, %s)",
        (workspace.tenant_id, receipt.request_id),
    ).fetchone()
    assert row is not None
    kind: type[Command] = CreateTask if row[0] == "task.create" else UpdateTask
    return kind.model_validate(row[1])


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_doubled_or_out_of_order_whatever_fails(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    faults = Faults(random.Random(seed))
    hasty = workspace.settings.model_copy(update={"resend_after": 0.02, "reconcile_batch": 1_000_000})
    with _suffering(faults, monkeypatch):
        threads = [threading.Thread(target=_be_a_worker, args=(workspace, faults)) for _ in range(_WORKERS)]
        threads.append(threading.Thread(target=_reconcile, args=(workspace, faults, hasty)))
        for thread in threads:
            thread.start()
        try:
            clients = [partial(_be_a_client, workspace, faults, seed * 100 + number) for number in range(_CLIENTS)]
            lines = [line for mine in at_once(clients) for line in mine]
            wait_until(lambda: _queued(workspace) == 0)
        finally:
            faults.ending.set()
            for thread in threads:
                thread.join(60)

    assert all(faults.counts[fault] for fault in ("lost", "doubled", "cut", "killed", "rolled back", "repeated"))
    assert sum(map(len, lines)) == len(workspace.events()) == _CLIENTS * _TASKS_EACH * (1 + _UPDATES)
    for line in lines:
        _assert_as_its_receipts_say(workspace, line)
