"""Per task, requests take effect in the order in which they were accepted, whatever happens to messages and workers."""

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg import Connection

import core.execution
from core.acceptance import Receipt
from core.db import connect
from core.queued import finish_requests
from core.tasks.commands import CreateTask, UpdateTask
from tests.concurrency import at_once, beside, held_at, patient_worker, wait_until_blocked
from tests.workspaces import Workspace

# Out of order, each of these but the first would be refused: completed and canceled never follow each other.
_TOUR = ("completed", "open", "canceled", "open", "completed", "open", "canceled", "open", "completed")


def _lines(workspace: Workspace, tasks: int) -> list[Receipt]:
    """Accept tasks, and for each a tour through its statuses; the lines of all tasks are interleaved."""
    created = workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(tasks)])
    tour = [UpdateTask(task_id=each.target_id, status=status) for status in _TOUR for each in created]  # type: ignore[arg-type]
    return created + workspace.accept(*tour)


def _messages(receipts: list[Receipt], chance: random.Random) -> list[list[Receipt]]:
    """Cut the receipts into messages, some of which come twice, and shuffle both."""
    shuffled = chance.sample(receipts, len(receipts))
    messages = [shuffled[start : start + 7] for start in range(0, len(shuffled), 7)]
    messages += chance.sample(messages, len(messages) // 3)
    return chance.sample(messages, len(messages))


def _assert_in_order(workspace: Workspace, receipts: list[Receipt]) -> None:
    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert all(task.status == "completed" and task.revision == 1 + len(_TOUR) for task in workspace.tasks())
    trails = defaultdict(list)
    for event in workspace.events():
        trails[event.target_id].append(event)
    for trail in trails.values():
        assert [event.new_status for event in trail] == ["open", *_TOUR]
        assert [event.occurred_at for event in trail] == sorted({event.occurred_at for event in trail})


@pytest.mark.parametrize("limit", [3, 200])
def test_shuffled_and_duplicated_messages_over_many_workers_with_rollbacks_keep_the_order(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    chance = random.Random(limit)
    receipts = _lines(workspace, tasks=25)
    messages = _messages(receipts, chance)
    lock = threading.Lock()

    def finish_or_fail(*args: Any, **kwargs: Any) -> None:
        finish_requests(*args, **kwargs)
        if chance.random() < 0.1:
            raise psycopg.OperationalError("the connection broke before the commit")

    def work() -> int:
        rollbacks = 0
        with patient_worker(workspace.settings) as connection:
            while True:
                with lock:
                    if not messages:
                        return rollbacks
                    batch = workspace.batch(*messages.pop())
                while batch:
                    try:
                        batch = workspace.execution(connection, limit=limit).run(batch).left
                    except psycopg.OperationalError:
                        rollbacks += 1

    monkeypatch.setattr(core.execution, "finish_requests", finish_or_fail)

    rollbacks = sum(at_once([work] * 6))
    # What a worker found locked it left to the one who held it, and that one may have rolled back since.
    monkeypatch.undo()
    workspace.execute(*receipts)

    assert rollbacks
    _assert_in_order(workspace, receipts)


def test_suspects_that_run_alone_beside_batches_keep_the_order(workspace: Workspace) -> None:
    receipts = _lines(workspace, tasks=8)
    messages = [[receipt] for receipt in random.Random(1).sample(receipts, len(receipts))]
    lock = threading.Lock()

    def work(alone: bool) -> None:  # noqa: FBT001
        with patient_worker(workspace.settings) as connection:
            while True:
                with lock:
                    if not messages:
                        return
                    batch = workspace.batch(*messages.pop())
                while batch:
                    if alone:
                        batch = workspace.run_alone(batch, connection).left
                    else:
                        batch = workspace.execution(connection).run(batch).left

    at_once([lambda: work(alone=True), lambda: work(alone=True), lambda: work(alone=False)])

    _assert_in_order(workspace, receipts)


def test_a_request_accepted_while_its_task_executes_waits_for_the_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = workspace.create()
    (first,) = workspace.update(task_id, "completed")
    with (
        connect(workspace.settings) as one,
        connect(workspace.settings) as other,
        held_at("finish_requests", monkeypatch) as (there, go),
        beside(lambda: workspace.execution(one).run(workspace.batch(first))),
    ):
        assert there.wait(30)
        (second,) = workspace.update(task_id, "open")
        with beside(lambda: workspace.execution(other).run(workspace.batch(second))):
            wait_until_blocked(workspace.connection, other)
            go.set()

    assert workspace.statuses([first, second]) == ["succeeded", "succeeded"]
    assert workspace.task(task_id).status == "open"


def _accepted_late(workspace: Workspace, other: Connection[Any], task_id: str) -> tuple[Receipt, Receipt]:
    """Accept two updates whose front ends commit in the other order than that of their places in line.

    The first is `completed`, still uncommitted on the connection; the second is `canceled` and committed.
    """
    (second,) = workspace.update(task_id, "canceled")
    late = Receipt(f"{second.request_id}late", task_id, None)
    other.execute("BEGIN")
    other.execute(
        "INSERT INTO requests SELECT (r).* FROM (SELECT jsonb_populate_record(q, jsonb_build_object("
        " 'id', %s::text, 'seq', q.seq - 1, 'payload', q.payload || '{\"status\": \"completed\"}')) AS r"
        " FROM requests q WHERE (tenant_id, id) = (%s, %s)) AS copy",
        (late.request_id, workspace.tenant_id, second.request_id),
    )
    return late, second


@pytest.mark.parametrize("how", ["a batch", "a batch of one", "alone"])
def test_a_front_end_that_commits_late_cannot_make_two_workers_decide_on_the_same_state(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    task_id = workspace.create()
    with (
        connect(workspace.settings) as front_end,
        connect(workspace.settings) as one,
        connect(workspace.settings) as other,
        held_at("finish_requests", monkeypatch) as (there, go),
    ):
        late, second = _accepted_late(workspace, front_end, task_id)
        with beside(lambda: workspace.execution(one).run(workspace.batch(second))):
            assert there.wait(30)
            front_end.execute("COMMIT")
            execution = workspace.execution(other, limit=1 if how == "a batch of one" else 200)
            batch = workspace.batch(late)
            counted = execution.count_run(batch) if how == "alone" else []
            with beside(lambda: execution.run_alone(batch, counted) if counted else execution.run(batch)):
                wait_until_blocked(workspace.connection, other)
                go.set()

    assert workspace.statuses([second, late]) == ["succeeded", "failed"]
    assert (workspace.task(task_id).status, workspace.task(task_id).revision) == ("canceled", 2)
    created, canceled, refused = workspace.events(task_id)
    assert [created.new_status, canceled.new_status, refused.previous_status] == ["open", "canceled", "canceled"]


def test_front_ends_that_write_to_one_task_at_once_leave_a_trail_without_a_gap(workspace: Workspace) -> None:
    task_ids = [workspace.create(f"Task {number}") for number in range(3)]
    messages: list[Receipt] = []
    ended = threading.Event()

    def submit(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            messages.extend(workspace.update(chance.choice(task_ids), chance.choice(["open", "completed", "canceled"])))

    def work(seed: int) -> None:
        chance = random.Random(seed)
        with patient_worker(workspace.settings) as connection:
            while not ended.is_set() or messages:
                try:
                    batch = workspace.batch(messages.pop())
                except IndexError:
                    continue
                while batch:
                    if chance.random() < 0.3:
                        batch = workspace.run_alone(batch, connection).left
                    else:
                        batch = workspace.execution(connection, limit=2).run(batch).left

    with ThreadPoolExecutor(3) as workers:
        working = [workers.submit(work, seed) for seed in range(3)]
        at_once([partial(submit, 100 + seed) for seed in range(5)])
        ended.set()
    assert [each.result() for each in working] == [None] * 3

    assert len(workspace.events()) == len(task_ids) + 5 * 25
    for task_id in task_ids:
        trail = workspace.events(task_id)
        assert all(after.previous_status == before.new_status for before, after in pairwise(trail))
        assert workspace.task(task_id).status == trail[-1].new_status
        assert workspace.task(task_id).revision == sum(event.outcome == "applied" for event in trail)
