"""The way in of one front-end process: commits in groups, bounded, and honest about what was accepted."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

import core.intake
from core.acceptance import Receipt, Submission, accept
from core.breaker import Breaker
from core.errors import DomainError, InternalError, QueueFull, Unavailable
from core.intake import Answer, Intake
from core.publisher import Publisher, Sendable
from core.settings import Settings
from core.tasks.commands import CreateTask
from tests.proxy import WeakServer
from tests.workspaces import Workspace


class Sent(Publisher):
    """Keeps what it is to publish."""

    def __init__(self) -> None:
        super().__init__(message_size=200)
        self.requests: list[Sendable] = []

    def send(self, requests: Iterable[Sendable]) -> None:
        self.requests.extend(requests)


@asynccontextmanager
async def _intake(settings: Settings, **limits: float) -> AsyncIterator[tuple[Intake, Sent]]:
    sent = Sent()
    limited = settings.model_copy(update=limits)
    intake = Intake(limited, Breaker(limited), sent)
    await intake.start()
    try:
        yield intake, sent
    finally:
        async with asyncio.timeout(30):
            await intake.stop()


@dataclass
class Commits:
    """Holds the first commit until `go`, and keeps the sizes of all."""

    sizes: list[int] = field(default_factory=list)
    there: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(self, connection: AsyncConnection[Any], submissions: Sequence[Submission]) -> list[Answer]:
        self.sizes.append(len(submissions))
        self.there.set()
        await self.go.wait()
        return await accept(connection, submissions)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    commits = Commits()
    monkeypatch.setattr(core.intake, "accept", commits.accept)
    return commits


def _call(workspace: Workspace, title: str = "Call Jane") -> Submission:
    return workspace.submission(CreateTask(title=title))


async def _begin(intake: Intake, workspace: Workspace, *sizes: int) -> list[asyncio.Task[list[Receipt | DomainError]]]:
    """Submit groups of these sizes, each by a caller of its own, and let every caller get to its wait."""
    tasks = [asyncio.create_task(intake.submit([_call(workspace) for _ in range(size)])) for size in sizes]
    await asyncio.sleep(0)
    return tasks


def _titles(workspace: Workspace) -> list[str]:
    rows = workspace.connection.execute(
        "SELECT payload->>'title' FROM requests WHERE tenant_id = %s ORDER BY seq", (workspace.tenant_id,)
    )
    return [title for (title,) in rows]


async def test_a_receipt_is_given_after_the_commit_and_its_request_is_sent(workspace: Workspace) -> None:
    async with _intake(workspace.settings) as (intake, sent):
        (receipt,) = await intake.submit([_call(workspace)])

        assert isinstance(receipt, Receipt)
        assert workspace.statuses([receipt]) == ["queued"]
        assert sent.requests == [("interactive", workspace.tenant_id, receipt.request_id, receipt.accepted_at)]


async def test_what_arrives_while_a_commit_is_in_flight_is_committed_together(
    workspace: Workspace, commits: Commits
) -> None:
    async with _intake(workspace.settings) as (intake, sent):
        first = await _begin(intake, workspace, 1)
        await commits.there.wait()
        rest = await _begin(intake, workspace, *[1] * 10, 5)
        commits.go.set()
        answers = await asyncio.gather(*first, *rest)

    assert commits.sizes == [1, 15]
    assert [len(answer) for answer in answers] == [1] * 11 + [5]
    assert len({each.request_id for answer in answers for each in answer if isinstance(each, Receipt)}) == 16
    assert len(sent.requests) == 16


async def test_a_commit_takes_no_more_than_its_bound_and_splits_no_group(
    workspace: Workspace, commits: Commits
) -> None:
    async with _intake(workspace.settings, intake_batch=4) as (intake, _):
        first = await _begin(intake, workspace, 1)
        await commits.there.wait()
        rest = await _begin(intake, workspace, 1, 2, 3, 9, 1, 1)
        commits.go.set()
        await asyncio.gather(*first, *rest)

    assert commits.sizes == [1, 3, 3, 9, 2]


async def test_answers_come_back_in_the_order_of_each_group_and_places_in_that_of_arrival(
    workspace: Workspace, commits: Commits
) -> None:
    async with _intake(workspace.settings) as (intake, _):
        first = asyncio.create_task(intake.submit([_call(workspace, "1")]))
        await commits.there.wait()
        second = asyncio.create_task(intake.submit([_call(workspace, "2"), _call(workspace, "3")]))
        third = asyncio.create_task(intake.submit([_call(workspace, "4")]))
        await asyncio.sleep(0)
        commits.go.set()
        answers = [each for answer in await asyncio.gather(first, second, third) for each in answer]

    assert _titles(workspace) == ["1", "2", "3", "4"]
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert [workspace.request(receipt).seq for receipt in receipts] == sorted(
        workspace.request(receipt).seq for receipt in receipts
    )


async def test_a_backlog_beyond_its_bound_is_refused_and_what_was_taken_is_kept(
    workspace: Workspace, commits: Commits
) -> None:
    async with _intake(workspace.settings, intake_backlog=5) as (intake, _):
        first = await _begin(intake, workspace, 1)
        await commits.there.wait()
        taken = await _begin(intake, workspace, 3, 2)
        with pytest.raises(QueueFull) as refused:
            await intake.submit([_call(workspace)])
        commits.go.set()
        await asyncio.gather(*first, *taken)
        await intake.submit([_call(workspace)])

    assert refused.value.retry_after == 1
    assert len(_titles(workspace)) == 7


async def test_stopping_commits_what_was_submitted_and_refuses_what_comes_later(
    workspace: Workspace, commits: Commits
) -> None:
    async with _intake(workspace.settings, intake_batch=2) as (intake, _):
        taken = await _begin(intake, workspace, 1, 1, 1, 1, 1)
        stopping = asyncio.create_task(intake.stop())
        await commits.there.wait()
        with pytest.raises(Unavailable):
            await intake.submit([_call(workspace)])
        commits.go.set()
        await stopping
        answers = await asyncio.gather(*taken)

    assert all(isinstance(each, Receipt) for answer in answers for each in answer)
    assert len(_titles(workspace)) == 5


async def test_a_caller_that_hangs_up_has_its_write_all_the_same(workspace: Workspace, commits: Commits) -> None:
    async with _intake(workspace.settings) as (intake, sent):
        (first,) = await _begin(intake, workspace, 1)
        await commits.there.wait()
        (second,) = await _begin(intake, workspace, 1)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        commits.go.set()
        (answer,) = await intake.submit([_call(workspace)])

    assert isinstance(answer, Receipt)
    assert len(_titles(workspace)) == len(sent.requests) == 3


async def test_a_submission_that_cannot_be_committed_fails_alone(workspace: Workspace, commits: Commits) -> None:
    bad = workspace.submission(CreateTask.model_construct({"title"}, title="\x00"))
    async with _intake(workspace.settings) as (intake, sent):
        first = await _begin(intake, workspace, 1)
        await commits.there.wait()
        before = await _begin(intake, workspace, 1)
        poisoned = asyncio.create_task(intake.submit([bad]))
        after = await _begin(intake, workspace, 2)
        commits.go.set()
        answers = await asyncio.gather(*first, *before, *after)
        with pytest.raises(InternalError):
            await poisoned

    assert all(isinstance(each, Receipt) for answer in answers for each in answer)
    assert len(sent.requests) == 4


async def test_submitting_nothing_gives_nothing(workspace: Workspace) -> None:
    async with _intake(workspace.settings) as (intake, _):
        assert await intake.submit([]) == []


async def test_without_postgres_a_submission_is_unavailable_and_with_it_again_accepted(
    workspace: Workspace, weak_postgres: WeakServer
) -> None:
    async with _intake(weak_postgres.settings) as (intake, sent):
        weak_postgres.proxy.cut()
        for _ in range(3):
            with pytest.raises(Unavailable) as refused:
                await intake.submit([_call(workspace)])
            assert refused.value.retry_after
        weak_postgres.proxy.restore()

        (receipt,) = await intake.submit([_call(workspace)])

    assert isinstance(receipt, Receipt)
    assert len(_titles(workspace)) == len(sent.requests) == 1


async def test_a_connection_that_broke_between_commits_is_made_anew_without_a_refusal(
    workspace: Workspace, weak_postgres: WeakServer
) -> None:
    async with _intake(weak_postgres.settings) as (intake, _):
        await intake.submit([_call(workspace)])
        weak_postgres.proxy.cut()
        weak_postgres.proxy.restore()

        (receipt,) = await intake.submit([_call(workspace)])

    assert isinstance(receipt, Receipt)


async def test_a_server_that_became_a_replica_is_left_without_a_refusal(workspace: Workspace) -> None:
    async with _intake(workspace.settings) as (intake, _):
        await intake.submit([_call(workspace)])
        assert intake._connection is not None
        await intake._connection.execute("SET default_transaction_read_only = on")

        (receipt,) = await intake.submit([_call(workspace)])

    assert isinstance(receipt, Receipt)


async def test_a_connection_that_breaks_after_the_commit_gives_the_receipt_of_what_was_committed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def accept_and_break(connection: AsyncConnection[Any], submissions: Sequence[Submission]) -> list[Answer]:
        nonlocal tries
        answers = await accept(connection, submissions)
        tries += 1
        if tries == 1:
            raise psycopg.OperationalError("the answer was lost")
        return answers

    monkeypatch.setattr(core.intake, "accept", accept_and_break)
    async with _intake(workspace.settings) as (intake, _):
        (receipt,) = await intake.submit([_call(workspace)])

    assert isinstance(receipt, Receipt)
    assert not receipt.replayed
    assert len(_titles(workspace)) == 1
    assert tries == 2


@pytest.mark.parametrize("connected", [False, True])
async def test_a_frozen_postgres_makes_everybody_unavailable_and_nobody_hang(
    workspace: Workspace, weak_postgres: WeakServer, *, connected: bool
) -> None:
    async with _intake(weak_postgres.settings, database_timeout=0.4, intake_batch=1) as (intake, _):
        if connected:
            await intake.submit([_call(workspace)])
        weak_postgres.proxy.freeze()
        async with asyncio.timeout(15):
            answers = await asyncio.gather(
                *[intake.submit([_call(workspace)]) for _ in range(200)], return_exceptions=True
            )
        weak_postgres.proxy.restore()
        async with asyncio.timeout(15):
            (receipt,) = await intake.submit([_call(workspace)])

    assert {type(answer) for answer in answers} == {Unavailable}
    assert isinstance(receipt, Receipt)
