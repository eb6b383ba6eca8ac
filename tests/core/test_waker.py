"""Whom a worker tells that requests are finished; no server behaviour matters here."""

from collections.abc import Iterator

import orjson
import pytest
import redis
from fakeredis import FakeRedis
from redis.client import PubSub

from core.settings import Settings
from core.waiters import Waker


@pytest.fixture
def valkey() -> Iterator[FakeRedis]:
    with FakeRedis() as valkey:
        yield valkey


@pytest.fixture
def waker(settings: Settings, valkey: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Waker:
    monkeypatch.setattr(redis.Redis, "from_url", lambda *_, **__: valkey)
    return Waker(settings)


def _listening(valkey: FakeRedis, channel: str) -> PubSub:
    listener: PubSub = valkey.pubsub()  # type: ignore[no-untyped-call]
    listener.subscribe(channel)
    return listener


def _told(listener: PubSub) -> list[list[str]]:
    """Return what came over a subscription, message by message."""
    messages = [listener.get_message(ignore_subscribe_messages=True) for _ in range(5)]
    return [orjson.loads(message["data"]) for message in messages if message]


def test_each_process_that_waits_is_told_once_of_all_its_requests(waker: Waker, valkey: FakeRedis) -> None:
    for request_id, channel in (("req_1", "one"), ("req_2", "two"), ("req_3", "one")):
        valkey.set(f"baton:waiter:{request_id}", channel)
    one, two = _listening(valkey, "one"), _listening(valkey, "two")

    waker.wake(["req_1", "req_2", "req_3", "req_4"])

    assert (_told(one), _told(two)) == ([["req_1", "req_3"]], [["req_2"]])


def test_nobody_is_told_of_what_nobody_waits_for(waker: Waker, valkey: FakeRedis) -> None:
    listener = _listening(valkey, "one")

    waker.wake(["req_1"])
    waker.wake([])

    assert _told(listener) == []


def test_a_broker_that_is_away_stops_no_worker(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(keys: list[str]) -> None:
        asked.append(keys)
        raise redis.ConnectionError

    monkeypatch.setattr(waker._redis, "mget", fail)

    waker.wake(["req_1"])

    assert asked == [["baton:waiter:req_1"]]
