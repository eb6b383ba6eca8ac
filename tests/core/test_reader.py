"""The read connections of a front end: bounded, read-only, and honest when Postgres is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

import core.breaker
from core.breaker import Breaker
from core.errors import Unavailable
from core.reader import Reader
from core.settings import Settings
from tests.concurrency import eventually
from tests.proxy import WeakServer


@asynccontextmanager
async def _reader(settings: Settings, **limits: float) -> AsyncIterator[Reader]:
    limited = settings.model_copy(update=limits)
    reader = Reader(limited, Breaker(limited))
    try:
        yield reader
    finally:
        await reader.close()


async def _one(connection: AsyncConnection[Any]) -> int:
    row = await (await connection.execute("SELECT 1")).fetchone()
    return 0 if row is None else int(row[0])


async def _slow(connection: AsyncConnection[Any]) -> None:
    await connection.execute("SELECT pg_sleep(60)")


async def test_a_read_connection_cannot_write(settings: Settings) -> None:
    async with _reader(settings) as reader:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await reader.run(lambda connection: connection.execute("DELETE FROM tasks"))


async def test_more_readers_than_connections_wait_for_their_turn(settings: Settings) -> None:
    async with _reader(settings, read_connections=2) as reader:
        assert await asyncio.gather(*[reader.run(_one) for _ in range(50)]) == [1] * 50


async def test_a_connection_that_is_refused_costs_nobody_but_who_needs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _reader(settings, read_connections=2) as reader:
        holds, go = asyncio.Event(), asyncio.Event()

        async def hold(connection: AsyncConnection[Any]) -> int:
            holds.set()
            await go.wait()
            return await _one(connection)

        held = asyncio.create_task(reader.run(hold))
        await holds.wait()

        async def refuse(*_: object, **__: object) -> AsyncConnection[Any]:
            raise psycopg.OperationalError("sorry, too many clients already")

        monkeypatch.setattr(core.breaker, "connect_async", refuse)
        with pytest.raises(Unavailable):
            await reader.run(_one)
        go.set()
        assert await held == 1
        assert await reader.run(_one) == 1


async def test_a_query_that_is_canceled_leaves_the_reader_usable(settings: Settings) -> None:
    async with _reader(settings, read_connections=1) as reader:
        await reader.run(_one)
        canceled = asyncio.create_task(reader.run(_slow))
        await asyncio.sleep(0.1)
        canceled.cancel()
        await asyncio.wait({canceled})

        assert canceled.cancelled()
        assert await reader.run(_one) == 1


async def test_a_query_that_takes_too_long_is_unavailable_and_leaves_the_reader_usable(settings: Settings) -> None:
    async with _reader(settings, database_timeout=0.5, read_connections=1) as reader:
        with pytest.raises(Unavailable):
            await reader.run(_slow)
        assert await reader.run(_one) == 1


async def test_without_postgres_a_read_is_unavailable_and_with_it_answered(weak_postgres: WeakServer) -> None:
    weak_postgres.proxy.cut()
    async with _reader(weak_postgres.settings, database_timeout=0.5) as reader:
        with pytest.raises(Unavailable):
            await reader.run(_one)
        assert not await reader.is_reachable()
        weak_postgres.proxy.restore()

        await eventually(reader.is_reachable)
        assert await reader.run(_one) == 1


async def test_connections_that_a_restart_broke_are_replaced_without_a_refusal(weak_postgres: WeakServer) -> None:
    async with _reader(weak_postgres.settings, read_connections=4) as reader:
        meet = asyncio.Barrier(4)

        async def hold(connection: AsyncConnection[Any]) -> int:
            await meet.wait()
            return await _one(connection)

        await asyncio.gather(*[reader.run(hold) for _ in range(4)])
        weak_postgres.proxy.cut()
        weak_postgres.proxy.restore()

        assert [await reader.run(_one) for _ in range(4)] == [1] * 4


async def test_a_connection_that_the_server_ended_is_replaced_without_a_refusal(settings: Settings) -> None:
    async with _reader(settings, read_connections=1) as reader:

        async def pid(connection: AsyncConnection[Any]) -> int:
            row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
            return 0 if row is None else int(row[0])

        ended = await reader.run(pid)
        async with await AsyncConnection.connect(str(settings.database_url), autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 10000)", (ended,))

        assert await reader.run(pid) != ended


async def test_a_frozen_postgres_makes_a_read_unavailable_and_not_hang(weak_postgres: WeakServer) -> None:
    async with _reader(weak_postgres.settings, database_timeout=0.5) as reader:
        await reader.run(_one)
        weak_postgres.proxy.freeze()

        async with asyncio.timeout(4):
            with pytest.raises(Unavailable):
                await reader.run(_one)
