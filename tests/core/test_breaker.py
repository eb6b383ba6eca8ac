"""The breaker before Postgres: nobody waits for a server that does not answer, and everybody is served once it does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, Connection

import core.breaker
from core.acceptance import Receipt
from core.breaker import Breaker
from core.db import hang_up
from core.errors import Unavailable
from core.intake import Intake
from core.publisher import Publisher
from core.reader import Reader
from core.settings import Settings
from core.tasks.commands import CreateTask
from tests.concurrency import eventually
from tests.proxy import WeakServer
from tests.workspaces import Workspace

every_fault = pytest.mark.parametrize("fail", ["cut", "freeze"])


@asynccontextmanager
async def _breaker(settings: Settings) -> AsyncIterator[Breaker]:
    breaker = Breaker(settings)
    await breaker.start()
    try:
        yield breaker
    finally:
        await breaker.stop()


@asynccontextmanager
async def _reader(settings: Settings, breaker: Breaker) -> AsyncIterator[Reader]:
    reader = Reader(settings, breaker)
    try:
        yield reader
    finally:
        await reader.close()


async def _probing(breaker: Breaker, *, not_over: object = None) -> AsyncConnection[Any]:
    """Return the connection of the probe, once it has one, or another one."""

    async def probes() -> bool:
        return breaker._probe not in {None, not_over}

    await eventually(probes)
    assert breaker._probe is not None
    return breaker._probe


async def _opened(breaker: Breaker) -> None:
    async def is_open() -> bool:
        return breaker.open

    await eventually(is_open)


async def _closed(breaker: Breaker) -> None:
    async def is_closed() -> bool:
        return not breaker.open

    await eventually(is_closed)


async def _pid(connection: AsyncConnection[Any]) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    return 0 if row is None else int(row[0])


@every_fault
async def test_it_opens_when_postgres_goes_and_closes_when_it_is_back(weak_postgres: WeakServer, fail: str) -> None:
    async with _breaker(weak_postgres.settings) as breaker, _reader(weak_postgres.settings, breaker) as reader:
        await _probing(breaker)
        assert await reader.is_reachable()
        getattr(weak_postgres.proxy, fail)()
        await _opened(breaker)
        for _ in range(1000):
            with pytest.raises(Unavailable):
                await reader.run(_pid)
        weak_postgres.proxy.restore()
        await _closed(breaker)

        assert await reader.run(_pid)


async def test_it_opens_where_postgres_was_never_there(weak_postgres: WeakServer) -> None:
    weak_postgres.proxy.freeze()
    async with _breaker(weak_postgres.settings) as breaker:
        await _opened(breaker)
        weak_postgres.proxy.restore()
        await _closed(breaker)


async def test_who_waits_for_postgres_is_let_go_when_it_freezes(
    workspace: Workspace, weak_postgres: WeakServer
) -> None:
    patient = weak_postgres.settings.model_copy(update={"database_timeout": 250.0, "read_connections": 2})
    async with _breaker(patient) as breaker, _reader(patient, breaker) as reader:
        intake = Intake(patient, breaker, Publisher(message_size=200))
        await intake.start()
        await intake.submit([workspace.submission(CreateTask(title="Before"))])
        await reader.run(_pid)
        await _probing(breaker)
        weak_postgres.proxy.freeze()
        waiting = [
            *[asyncio.create_task(reader.run(_pid)) for _ in range(20)],
            *[
                asyncio.create_task(intake.submit([workspace.submission(CreateTask(title="During"))]))
                for _ in range(20)
            ],
        ]

        async with asyncio.timeout(30):
            answers = await asyncio.gather(*waiting, return_exceptions=True)

        assert {type(answer) for answer in answers} == {Unavailable}
        with pytest.raises(Unavailable):
            await intake.submit([workspace.submission(CreateTask(title="After"))])
        weak_postgres.proxy.restore()
        await _closed(breaker)
        (receipt,) = await intake.submit([workspace.submission(CreateTask(title="Back"))])
        assert isinstance(receipt, Receipt)
        await intake.stop()


async def test_connections_of_before_are_not_used_afterwards(weak_postgres: WeakServer) -> None:
    async with _breaker(weak_postgres.settings) as breaker, _reader(weak_postgres.settings, breaker) as reader:
        await _probing(breaker)
        before = await reader.run(_pid)
        weak_postgres.proxy.freeze()
        await _opened(breaker)
        weak_postgres.proxy.restore()
        await _closed(breaker)

        assert await reader.run(_pid) != before


async def test_a_slow_statement_leaves_it_closed(settings: Settings) -> None:
    hasty = settings.model_copy(update={"database_timeout": 0.3})
    async with _breaker(hasty) as breaker, _reader(hasty, breaker) as reader:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await reader.run(lambda connection: connection.execute("SELECT pg_sleep(60)"))
            assert not breaker.open


async def test_a_busy_process_is_told_of_every_answer_that_came_meanwhile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(Breaker, "_tell", lambda _, answers: told.append(answers))
    async with _breaker(settings) as breaker:
        await _probing(breaker)
        time.sleep(2)  # noqa: ASYNC251 (what is tried is an event loop that comes to nothing)
        await asyncio.sleep(0)

        assert told[1:]
        assert all(told)


async def test_a_probe_whose_connection_ends_leaves_it_closed(
    settings: Settings, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(Breaker, "_tell", lambda _, answers: told.append(answers))
    async with _breaker(settings) as breaker:
        probe = await _probing(breaker)
        asked = "SELECT FROM pg_stat_activity WHERE pid = %s AND query = 'SELECT 1' AND state = 'idle'"

        async def has_answered() -> bool:
            return bool(connection.execute(asked, (probe.info.backend_pid,)).fetchall())

        await eventually(has_answered)
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (probe.info.backend_pid,))
        await _probing(breaker, not_over=probe)

    assert set(told) == {True}


@pytest.mark.parametrize("error", [RuntimeError, psycopg.ProgrammingError, ValueError])
async def test_an_error_that_nobody_expected_does_not_end_probing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def fail(*_: object, **__: object) -> AsyncConnection[Any]:
        raise error

    async with _breaker(settings) as breaker:
        probe = await _probing(breaker)
        with monkeypatch.context() as fault:
            fault.setattr(core.breaker, "connect_async", fail)
            hang_up(probe)
            await _opened(breaker)
        await _closed(breaker)


async def test_stopping_leaves_no_connection_behind(settings: Settings, connection: Connection[Any]) -> None:
    async with _breaker(settings) as breaker:
        pid = (await _probing(breaker)).info.backend_pid

    async def gone() -> bool:
        return not connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchall()

    await eventually(gone)
