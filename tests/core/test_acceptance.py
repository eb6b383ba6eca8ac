"""A receipt is given once for each key, whatever is repeated and whoever is quicker."""

import random
from functools import partial
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from core.acceptance import Receipt, Submission, accept
from core.commands import Command
from core.errors import IdempotencyConflict
from core.tasks.commands import CreateTask, UpdateTask
from core.tenancy.model import Caller
from tests.concurrency import at_once
from tests.workspaces import Workspace

_CALL = CreateTask(title="Call Jane")
_WRITE = CreateTask(title="Write to Jane")


def _rows(workspace: Workspace) -> list[tuple[str, str]]:
    return workspace.connection.execute(
        "SELECT id, target_id FROM requests WHERE tenant_id = %s ORDER BY seq", (workspace.tenant_id,)
    ).fetchall()


def test_a_receipt_names_what_was_committed(workspace: Workspace, agent: Caller) -> None:
    submission = workspace.submission(_CALL, caller=agent, source="mcp", idempotency_key="k", lane="bulk")

    (receipt,) = workspace.answer([submission])

    row = workspace.connection.execute(
        "SELECT id, target_id, accepted_at, status, command, payload, lane, actor_id, actor_type, actor_name, source,"
        " idempotency_key, attempts, sends, sent_at = accepted_at, finished_at FROM requests WHERE tenant_id = %s",
        (workspace.tenant_id,),
    ).fetchone()
    assert isinstance(receipt, Receipt)
    assert row == (
        *(receipt.request_id, receipt.target_id, receipt.accepted_at),
        *("queued", "task.create", {"title": "Call Jane"}, "bulk"),
        *("agt_1", "agent", "Ann Agent", "mcp", "k", 0, 0, True, None),
    )
    assert not receipt.replayed


def test_the_same_key_and_command_give_the_original_receipt(workspace: Workspace) -> None:
    (first,) = workspace.accept(_CALL, idempotency_key="k")

    (again,) = workspace.accept(_CALL, idempotency_key="k")

    assert again == Receipt(first.request_id, first.target_id, None, replayed=True)
    assert _rows(workspace) == [(first.request_id, first.target_id)]


def test_the_same_key_gives_the_original_receipt_after_the_request_is_finished(workspace: Workspace) -> None:
    update = UpdateTask(task_id="task_none", status="completed")
    (failed,) = workspace.accept(update, idempotency_key="k")
    workspace.execute(failed)

    (again,) = workspace.accept(update, idempotency_key="k")

    assert (again.request_id, again.replayed) == (failed.request_id, True)
    assert workspace.statuses([again]) == ["failed"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (_CALL, _WRITE),
        (_CALL, CreateTask(title="Call Jane", description="")),
        (UpdateTask(task_id="a"), UpdateTask(task_id="b")),
        (_CALL, UpdateTask(task_id="a", status="completed")),
    ],
)
def test_the_same_key_for_another_command_is_a_conflict(workspace: Workspace, first: Command, second: Command) -> None:
    workspace.accept(first, idempotency_key="k")

    (answer,) = workspace.answer([workspace.submission(second, idempotency_key="k")])

    assert isinstance(answer, IdempotencyConflict)
    assert len(_rows(workspace)) == 1


def test_keys_belong_to_a_tenant(workspace: Workspace, stranger: Caller) -> None:
    (here,) = workspace.accept(_CALL, idempotency_key="k")
    elsewhere = Workspace(workspace.settings, workspace.connection, stranger)

    (there,) = elsewhere.accept(_WRITE, idempotency_key="k")

    assert not there.replayed
    assert there.request_id != here.request_id


def test_keys_that_differ_in_case_are_two(workspace: Workspace) -> None:
    (lower,), (upper,) = workspace.accept(_CALL, idempotency_key="k"), workspace.accept(_WRITE, idempotency_key="K")

    assert not lower.replayed
    assert not upper.replayed


def test_the_same_command_without_a_key_is_two_requests(workspace: Workspace) -> None:
    first, second = workspace.accept(_CALL, _CALL)

    assert first.request_id != second.request_id
    assert first.target_id != second.target_id


def test_a_key_that_comes_twice_in_one_commit_is_accepted_once_for_the_first(workspace: Workspace) -> None:
    first, again, other, unrelated = workspace.answer(
        [
            workspace.submission(_CALL, idempotency_key="k"),
            workspace.submission(_CALL, idempotency_key="k"),
            workspace.submission(_WRITE, idempotency_key="k"),
            workspace.submission(_WRITE, idempotency_key="l"),
        ]
    )

    assert isinstance(first, Receipt)
    assert not first.replayed
    assert again == Receipt(first.request_id, first.target_id, None, replayed=True)
    assert isinstance(other, IdempotencyConflict)
    assert isinstance(unrelated, Receipt)
    assert not unrelated.replayed
    assert len(_rows(workspace)) == 2


def test_one_key_sent_fifty_times_at_once_is_accepted_once(workspace: Workspace) -> None:
    answers = at_once([lambda: workspace.accept(_CALL, idempotency_key="k")[0]] * 50)

    assert [answer.replayed for answer in answers].count(False) == 1
    assert len({(answer.request_id, answer.target_id) for answer in answers}) == 1
    assert len(_rows(workspace)) == 1


def test_two_commands_sent_at_once_under_one_key_leave_one_winner(workspace: Workspace) -> None:
    commands = [_CALL, _WRITE] * 10

    submissions = [[workspace.submission(command, idempotency_key="k")] for command in commands]

    answers = [answer for (answer,) in at_once([partial(workspace.answer, each) for each in submissions])]

    refused = [command for command, answer in zip(commands, answers, strict=True) if isinstance(answer, Exception)]
    assert len(refused) == 10
    assert len(set(refused)) == 1
    assert len({answer.request_id for answer in answers if isinstance(answer, Receipt)}) == 1


def test_front_ends_that_are_sent_the_same_keys_in_other_orders_do_not_deadlock(workspace: Workspace) -> None:
    keys = [f"key {number}" for number in range(200)]

    def submit(seed: int) -> list[Receipt]:
        mine = random.Random(seed).sample(keys, len(keys))
        answers = workspace.answer([workspace.submission(_CALL, idempotency_key=key) for key in mine])
        return [answer for answer in answers if isinstance(answer, Receipt)]

    receipts = at_once([partial(submit, seed) for seed in range(8)])

    assert [len(each) for each in receipts] == [200] * 8
    assert sum(not receipt.replayed for each in receipts for receipt in each) == 200
    assert len(_rows(workspace)) == 200


def test_places_in_line_follow_the_order_of_submission_whatever_the_keys(workspace: Workspace) -> None:
    keys = [None if number % 3 == 0 else f"key {number}" for number in range(60)]
    random.Random(1).shuffle(keys)

    answers = workspace.answer([workspace.submission(_CALL, idempotency_key=key) for key in keys])

    assert _rows(workspace) == [
        (answer.request_id, answer.target_id) for answer in answers if isinstance(answer, Receipt)
    ]


def test_a_later_commit_has_later_places(workspace: Workspace) -> None:
    receipts = [workspace.accept(_CALL)[0] for _ in range(5)]

    assert [id_ for id_, _ in _rows(workspace)] == [receipt.request_id for receipt in receipts]


def _submissions(workspace: Workspace) -> list[Submission]:
    return [workspace.submission(_CALL, idempotency_key=key) for key in ("a", None, "b", None)]


async def test_repeating_a_commit_that_went_through_gives_the_same_receipts(
    workspace: Workspace, async_connection: AsyncConnection[Any]
) -> None:
    submissions = _submissions(workspace)
    first = await accept(async_connection, submissions)

    again = await accept(async_connection, submissions)

    assert [(each.request_id, each.target_id, each.replayed) for each in again if isinstance(each, Receipt)] == [
        (each.request_id, each.target_id, False) for each in first if isinstance(each, Receipt)
    ]
    assert len(_rows(workspace)) == 4


def test_one_commit_tried_on_many_connections_at_once_is_accepted_once(workspace: Workspace) -> None:
    submissions = _submissions(workspace)

    tries = at_once([lambda: workspace.answer(submissions)] * 10)

    known = {
        tuple((each.request_id, each.target_id, each.replayed) for each in answers if isinstance(each, Receipt))
        for answers in tries
    }
    assert len(known) == 1
    assert len(_rows(workspace)) == 4


def test_a_commit_takes_submissions_of_several_tenants(workspace: Workspace, stranger: Caller) -> None:
    here, there = workspace.answer(
        [
            workspace.submission(_CALL, idempotency_key="k"),
            workspace.submission(_WRITE, idempotency_key="k", caller=stranger),
        ]
    )

    assert isinstance(here, Receipt)
    assert isinstance(there, Receipt)
    assert len(_rows(workspace)) == 1


def test_the_database_itself_refuses_a_second_request_under_a_key(workspace: Workspace) -> None:
    workspace.accept(_CALL, idempotency_key="k")
    workspace.accept(_CALL, idempotency_key="l")

    with pytest.raises(UniqueViolation):
        workspace.connection.execute(
            "UPDATE requests SET idempotency_key = 'k' WHERE tenant_id = %s", (workspace.tenant_id,)
        )
