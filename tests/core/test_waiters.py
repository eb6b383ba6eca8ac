"""Waking those who wait; and that they find out all the same when nobody wakes them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

import core.waiters
from core.settings import Settings
from core.waiters import Waiters, Waker
from tests.concurrency import eventually
from tests.proxy import WeakServer

_LONG = 60.0


@pytest.fixture
def waker(settings: Settings) -> Iterator[Waker]:
    waker = Waker(settings)
    yield waker
    waker._redis.close()


@pytest.fixture
def deaf_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks the database before a wake-up: what is found, is found because of one."""
    monkeypatch.setattr(core.waiters, "_POLL_SECONDS", _LONG)


@asynccontextmanager
async def _waiters(settings: Settings, **limits: int) -> AsyncIterator[Waiters]:
    waiters = Waiters(settings.model_copy(update=limits))
    await waiters.start()
    try:
        yield waiters
    finally:
        await waiters.stop()


async def _listening(waiters: Waiters) -> None:
    async def listens() -> bool:
        return waiters.listening

    await eventually(listens)


@contextmanager
def _expecting(waiters: Waiters, request_id: str) -> Iterator[asyncio.Event]:
    """Be one of those who may wait."""
    with waiters.expect(request_id) as event:
        assert event is not None
        yield event


async def _deaf(waiters: Waiters) -> None:
    async def is_deaf() -> bool:
        return not waiters.listening

    await eventually(is_deaf)


async def _registered(waiters: Waiters, request_id: str) -> None:
    async def is_registered() -> bool:
        return await waiters._redis.exists(core.waiters._key(request_id)) == 1

    await eventually(is_registered)


class Database:
    """Stands for the row: finished or not, and how often it was looked at."""

    def __init__(self, *, finished: bool = False) -> None:
        self.finished = finished
        self.looks = 0

    async def look(self) -> str | None:
        self.looks += 1
        return "finished" if self.finished else None


async def _until_looked(database: Database, times: int = 1) -> None:
    async def looked() -> bool:
        return database.looks >= times

    await eventually(looked)


@pytest.mark.usefixtures("deaf_database")
async def test_a_waker_ends_the_wait_for_its_request(settings: Settings, waker: Waker) -> None:
    database = Database()
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with _expecting(waiters, "req_woken") as event:
            await _registered(waiters, "req_woken")
            waiting = asyncio.create_task(waiters.wait(event, database.look, _LONG))
            database.finished = True
            await asyncio.to_thread(waker.wake, ["req_other", "req_woken"])

            async with asyncio.timeout(30):
                assert await waiting == "finished"

    assert database.looks == 1


@pytest.mark.usefixtures("deaf_database")
@pytest.mark.parametrize("finished", ["req_first", "req_last"])
async def test_who_waits_for_many_is_woken_by_each(settings: Settings, waker: Waker, finished: str) -> None:
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with waiters.expect("req_first", "req_last") as event:
            await _registered(waiters, "req_last")
            waiting = asyncio.create_task(waiters.wait(event, Database(finished=True).look, _LONG))
            await asyncio.to_thread(waker.wake, [finished])

            async with asyncio.timeout(30):
                assert await waiting == "finished"


async def test_who_waits_for_many_is_one_waiter(settings: Settings) -> None:
    async with _waiters(settings, max_waiters=2) as waiters:
        with waiters.expect("req_1", "req_2", "req_3"), waiters.expect("req_4") as event:
            assert event is not None
        assert not waiters._events


@pytest.mark.usefixtures("deaf_database")
async def test_a_wake_up_before_the_wait_begins_is_not_missed(settings: Settings, waker: Waker) -> None:
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with _expecting(waiters, "req_early") as event:
            await _registered(waiters, "req_early")
            await asyncio.to_thread(waker.wake, ["req_early"])
            async with asyncio.timeout(30):
                await event.wait()

                assert await waiters.wait(event, Database(finished=True).look, _LONG) == "finished"


@pytest.mark.usefixtures("deaf_database")
async def test_everybody_who_waits_for_a_request_is_woken_and_nobody_else(settings: Settings, waker: Waker) -> None:
    shared, other = Database(finished=True), Database()
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with (
            _expecting(waiters, "req_a") as one,
            _expecting(waiters, "req_a") as two,
            _expecting(waiters, "req_b") as three,
        ):
            for request_id in ("req_a", "req_b"):
                await _registered(waiters, request_id)
            both = asyncio.gather(waiters.wait(one, shared.look, _LONG), waiters.wait(two, shared.look, _LONG))
            third = asyncio.create_task(waiters.wait(three, other.look, _LONG))
            await asyncio.to_thread(waker.wake, ["req_a"])

            async with asyncio.timeout(30):
                assert list(await both) == ["finished", "finished"]

            assert other.looks == 0
            third.cancel()


@pytest.mark.usefixtures("deaf_database")
async def test_two_processes_that_wait_for_different_requests_are_each_told_of_their_own(
    settings: Settings, waker: Waker
) -> None:
    async with _waiters(settings) as here, _waiters(settings) as there:
        with _expecting(here, "req_here") as one, _expecting(there, "req_there") as two:
            await _listening(here)
            await _listening(there)
            await here._register("req_here")
            await there._register("req_there")
            await asyncio.to_thread(waker.wake, ["req_here", "req_there"])

            async with asyncio.timeout(30):
                await one.wait()
                await two.wait()


async def test_without_a_wake_up_the_database_is_asked(settings: Settings) -> None:
    database = Database()
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with _expecting(waiters, "req_silent") as event:
            waiting = asyncio.create_task(waiters.wait(event, database.look, _LONG))
            await _until_looked(database)
            database.finished = True

            async with asyncio.timeout(30):
                assert await waiting == "finished"


@pytest.mark.parametrize("fail", ["cut", "freeze"])
async def test_without_valkey_waiting_works_by_asking_the_database(weak_valkey: WeakServer, fail: str) -> None:
    database = Database()
    getattr(weak_valkey.proxy, fail)()
    async with _waiters(weak_valkey.settings) as waiters:
        with _expecting(waiters, "req_blind") as event:
            waiting = asyncio.create_task(waiters.wait(event, database.look, _LONG))
            await _until_looked(database, 3)
            database.finished = True

            async with asyncio.timeout(30):
                assert await waiting == "finished"
        weak_valkey.proxy.restore()


@pytest.mark.parametrize("fail", ["cut", "freeze"])
@pytest.mark.usefixtures("deaf_database")
async def test_wake_ups_come_again_after_valkey_was_away(weak_valkey: WeakServer, waker: Waker, fail: str) -> None:
    async with _waiters(weak_valkey.settings) as waiters:
        await _listening(waiters)
        getattr(weak_valkey.proxy, fail)()
        await _deaf(waiters)
        weak_valkey.proxy.restore()
        await _listening(waiters)
        with _expecting(waiters, "req_again") as event:
            await _registered(waiters, "req_again")
            await asyncio.to_thread(waker.wake, ["req_again"])

            async with asyncio.timeout(30):
                await event.wait()


async def test_listening_goes_on_while_nobody_says_anything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.waiters, "_SILENCE_SECONDS", 0.2)
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        for _ in range(100):
            await asyncio.sleep(0.01)
            assert waiters.listening


@pytest.mark.usefixtures("deaf_database")
async def test_a_message_that_is_none_of_ours_ends_no_listening(
    settings: Settings, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.waiters, "_RECONNECT_SECONDS", 0.0)
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        await asyncio.to_thread(waker._redis.publish, waiters._channel, "{not JSON")
        with _expecting(waiters, "req_after") as event:
            async with asyncio.timeout(30):
                while not event.is_set():
                    await waiters._register("req_after")
                    await asyncio.to_thread(waker.wake, ["req_after"])
                    await asyncio.sleep(0.01)


async def test_many_registrations_share_a_few_connections(settings: Settings) -> None:
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with contextlib.ExitStack() as expected:
            for number in range(300):
                expected.enter_context(_expecting(waiters, f"req_{number}"))
            for number in range(300):
                await _registered(waiters, f"req_{number}")

        pool = waiters._redis.connection_pool
        assert len(pool._available_connections) + len(pool._in_use_connections) <= 8


async def test_a_wait_that_is_in_vain_ends(settings: Settings) -> None:
    database = Database()
    async with _waiters(settings) as waiters:
        with _expecting(waiters, "req_never") as event:
            assert await waiters.wait(event, database.look, 0.05) is None

    assert database.looks


async def test_more_waiters_than_the_bound_do_not_wait(settings: Settings) -> None:
    async with _waiters(settings, max_waiters=2) as waiters:
        with waiters.expect("req_1"), waiters.expect("req_2"), waiters.expect("req_3") as event:
            assert await waiters.wait(event, Database().look, _LONG) is None


async def test_many_who_wait_for_one_request_are_bounded_as_well(settings: Settings) -> None:
    async with _waiters(settings, max_waiters=2) as waiters:
        with waiters.expect("req_1"), waiters.expect("req_1"), waiters.expect("req_1") as event:
            assert await waiters.wait(event, Database().look, _LONG) is None


@pytest.mark.usefixtures("deaf_database")
async def test_stopping_ends_every_wait(settings: Settings) -> None:
    async with _waiters(settings) as waiters:
        await _listening(waiters)
        with _expecting(waiters, "req_1") as event:
            waiting = asyncio.create_task(waiters.wait(event, Database().look, _LONG))
            await asyncio.sleep(0)
            await waiters.stop()

            async with asyncio.timeout(30):
                assert await waiting is None


async def test_many_who_wait_do_not_ask_more_often_than_the_database_bears(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.waiters, "_MOST_POLLS_PER_SECOND", 50)
    database = Database()
    waiters = Waiters(settings)  # which does not listen
    with contextlib.ExitStack() as expected:
        events = [expected.enter_context(_expecting(waiters, f"req_{number}")) for number in range(100)]
        await asyncio.gather(*[waiters.wait(event, database.look, 3) for event in events])
    await waiters.stop()

    assert 200 <= database.looks <= 300


async def test_who_is_done_waiting_leaves_nothing_behind(settings: Settings) -> None:
    async with _waiters(settings) as waiters:
        with waiters.expect("req_1"), waiters.expect("req_1"):
            pass

        assert not waiters._events


@pytest.mark.parametrize("fail", ["cut", "freeze"])
def test_a_waker_without_valkey_neither_raises_nor_hangs(weak_valkey: WeakServer, fail: str) -> None:
    waker = Waker(weak_valkey.settings)
    waker.wake(["req_1"])
    broken: Callable[[], None] = getattr(weak_valkey.proxy, fail)
    broken()

    waker.wake(["req_1"])
    weak_valkey.proxy.restore()
    waker.wake(["req_1"])

    waker._redis.close()
