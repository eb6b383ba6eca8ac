"""Intake: gathers submissions, commits their requests, and hands these to the publisher.

Submissions that arrive while a commit is in flight are committed together by the next one (group commit). There is
no timer: an idle system commits at once, and a busy one amortises.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from core.acceptance import Receipt, Submission, accept
from core.breaker import Breaker
from core.db import hang_up_at
from core.errors import DomainError, InternalError, QueueFull, Unavailable
from core.publisher import Publisher
from core.settings import Settings

log = structlog.get_logger(__name__)

# The connection broke, or leads to a server that is a replica by now.
_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)

Answer = Receipt | DomainError
_Group = tuple[Sequence[Submission], asyncio.Future[list[Answer]]]


class Intake:
    """The one way in for the writes of one lane, in a front-end process."""

    def __init__(self, settings: Settings, breaker: Breaker, publisher: Publisher) -> None:
        """Take how much may gather; `start` begins to commit."""
        self._settings = settings
        self._breaker = breaker
        self._publisher = publisher
        self._connection: AsyncConnection[Any] | None = None
        self._groups: deque[_Group] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._stopping = False
        self._committer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to commit."""
        self._committer = asyncio.create_task(self._run(), name="intake")

    async def stop(self) -> None:
        """Commit what was submitted and end."""
        self._stopping = True
        self._arrived.set()
        if self._committer is not None:
            await self._committer
        if self._connection is not None:
            await self._connection.close()

    async def submit(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Return for each submission, in order, its receipt or the error that refused it alone.

        A receipt is returned only after the request is committed.

        Raises:
            QueueFull: more submissions are waiting than the process holds.
            Unavailable: Postgres cannot be reached.

        """
        if not submissions:
            return []
        if self._stopping:
            raise Unavailable("This process is about to end.")
        self._breaker.check()
        if self._waiting + len(submissions) > self._settings.intake_backlog:
            raise QueueFull
        answer: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._groups.append((submissions, answer))
        self._waiting += len(submissions)
        self._arrived.set()
        return await answer

    async def _run(self) -> None:
        while self._groups or not self._stopping:
            if not self._groups:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._commit(self._take())

    def _take(self) -> list[_Group]:
        taken = [self._groups.popleft()]
        size = len(taken[0][0])
        while self._groups and size + len(self._groups[0][0]) <= self._settings.intake_batch:
            taken.append(self._groups.popleft())
            size += len(taken[-1][0])
        self._waiting -= size
        return taken

    def _take_all(self) -> list[_Group]:
        taken = list(self._groups)
        self._groups.clear()
        self._waiting = 0
        return taken

    async def _commit(self, groups: list[_Group]) -> None:
        submissions = [submission for members, _ in groups for submission in members]
        try:
            answers = iter(await self._accept(submissions))
        except Unavailable as error:
            # Whoever waits behind would wait as long again, and for nothing.
            for _, answer in groups + self._take_all():
                _fail(answer, error)
        except Exception as error:  # noqa: BLE001 (whatever it is, it must not fail the neighbours)
            await self._separate(groups, error)
        else:
            for members, answer in groups:
                _give(answer, [next(answers) for _ in members])

    async def _separate(self, groups: list[_Group], error: Exception) -> None:
        """Commit each group by itself, so that the one which cannot be committed fails alone."""
        if len(groups) > 1:
            for group in groups:
                await self._commit([group])
            return
        log.error("intake_failed", exc_info=error)
        _fail(groups[0][1], InternalError("The write could not be accepted."))

    async def _accept(self, submissions: list[Submission]) -> list[Answer]:
        """Commit, a second time where the connection was lost: acceptance is safe to repeat."""
        try:
            try:
                answers = await self._accept_once(submissions)
            except _LOST:
                answers = await self._accept_once(submissions)
        except (*_LOST, TimeoutError) as error:
            raise Unavailable from error
        self._publisher.send(
            (each.lane, each.caller.tenant_id, each.request_id, answer.accepted_at)
            for each, answer in zip(submissions, answers, strict=True)
            if isinstance(answer, Receipt) and answer.accepted_at is not None
        )
        return answers

    async def _accept_once(self, submissions: list[Submission]) -> list[Answer]:
        try:
            deadline = asyncio.get_running_loop().time() + self._settings.database_timeout / 2
            if self._connection is None:
                self._connection = await self._breaker.connect(deadline)
            with hang_up_at(deadline, self._connection):
                return await accept(self._connection, submissions)
        except (*_LOST, TimeoutError):
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _give(answer: asyncio.Future[list[Answer]], answers: list[Answer]) -> None:
    if not answer.done():  # a caller that hung up meanwhile has its write all the same
        answer.set_result(answers)


def _fail(answer: asyncio.Future[list[Answer]], error: DomainError) -> None:
    if not answer.done():
        answer.set_exception(error)
