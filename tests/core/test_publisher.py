"""Publishing off the request's path: never in the way, never unbounded, never dead."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import core.publisher
from core.publisher import Publisher, Sendable, messages
from core.queue import BROKER_ERRORS, Batch, Lane
from tests.concurrency import wait_until

_NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def _request(number: int, *, lane: Lane = "interactive", tenant: str = "ten_1") -> Sendable:
    return lane, tenant, f"req_{number}", _NOW + timedelta(seconds=number)


class Broker:
    """Stands for the queue: takes messages, holds them up, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []
        self.calls = 0
        self.error: Exception | None = None
        self.there = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def publish(self, _: Lane, batch: Batch, **__: Any) -> None:
        self.calls += 1
        self.there.set()
        assert self.go.wait(30)
        if self.error is not None:
            raise self.error
        self.taken.append(batch)

    def ids(self) -> list[str]:
        return [id_ for batch in self.taken for ids in batch.values() for id_ in ids]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(core.publisher, "publish", broker.publish)
    return broker


@pytest.fixture
def publisher(broker: Broker) -> Iterator[Publisher]:
    publisher = Publisher(message_size=200)
    publisher.start()
    yield publisher
    broker.go.set()
    publisher.stop()
    publisher._thread.join(30)


def test_messages_are_cut_by_size_in_the_order_of_the_requests() -> None:
    cut = list(messages([_request(number) for number in range(5)], 2))

    assert [batch for _, batch, _ in cut] == [
        {"ten_1": ["req_0", "req_1"]},
        {"ten_1": ["req_2", "req_3"]},
        {"ten_1": ["req_4"]},
    ]


def test_a_message_says_when_its_oldest_request_was_accepted() -> None:
    ((_, _, sent_at),) = messages([_request(2), _request(1), _request(3)], 10)

    assert sent_at == _NOW + timedelta(seconds=1)


def test_lanes_never_share_a_message_and_tenants_may() -> None:
    requests = [_request(1), _request(2, lane="bulk"), _request(3, tenant="ten_2"), _request(4)]

    assert [(lane, batch) for lane, batch, _ in messages(requests, 10)] == [
        ("interactive", {"ten_1": ["req_1", "req_4"], "ten_2": ["req_3"]}),
        ("bulk", {"ten_1": ["req_2"]}),
    ]


def test_nothing_makes_no_message() -> None:
    assert list(messages([], 10)) == []


def test_what_is_sent_is_published_in_the_background(publisher: Publisher, broker: Broker) -> None:
    publisher.send([_request(1), _request(2)])

    wait_until(lambda: broker.ids() == ["req_1", "req_2"])


def test_what_arrives_while_a_message_is_published_shares_the_next(publisher: Publisher, broker: Broker) -> None:
    broker.go.clear()
    publisher.send([_request(1)])
    assert broker.there.wait(30)
    for number in range(2, 7):
        publisher.send([_request(number)])
    broker.go.set()

    wait_until(lambda: len(broker.taken) == 2)

    assert broker.taken == [{"ten_1": ["req_1"]}, {"ten_1": [f"req_{number}" for number in range(2, 7)]}]


def test_sending_returns_while_the_broker_hangs_and_keeps_a_bounded_number(
    publisher: Publisher, broker: Broker
) -> None:
    broker.go.clear()
    publisher.send([_request(0)])
    assert broker.there.wait(30)

    for number in range(50_000):
        publisher.send([_request(number)])

    assert len(publisher._waiting) == 20_000


@pytest.mark.parametrize("error", BROKER_ERRORS)
def test_a_refusal_of_the_broker_opens_the_breaker(
    publisher: Publisher, broker: Broker, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(core.publisher, "_BREAK_SECONDS", 1_000_000.0)
    broker.error = error("refused")
    publisher.send([_request(1)])
    wait_until(lambda: broker.calls == 1)
    wait_until(lambda: publisher._closed_until > 0)

    publisher.send([_request(2)])
    publisher.stop()

    assert not publisher._thread.is_alive()
    assert broker.calls == 1


def test_the_breaker_closes_after_a_while(
    publisher: Publisher, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.publisher, "_BREAK_SECONDS", 0.0)
    broker.error = OSError("refused")
    publisher.send([_request(1)])
    wait_until(lambda: broker.calls == 1)
    broker.error = None

    publisher.send([_request(2)])

    wait_until(lambda: broker.ids() == ["req_2"])


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, ValueError])
def test_an_error_that_nobody_expected_does_not_end_publishing(
    publisher: Publisher, broker: Broker, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(core.publisher, "_BREAK_SECONDS", 0.0)
    broker.error = error("what the client library makes of a half-open connection")
    publisher.send([_request(1)])
    wait_until(lambda: broker.calls == 1)
    broker.error = None

    publisher.send([_request(2)])

    wait_until(lambda: broker.ids() == ["req_2"])


def test_stopping_publishes_what_waits(publisher: Publisher, broker: Broker) -> None:
    broker.go.clear()
    publisher.send([_request(1)])
    assert broker.there.wait(30)
    publisher.send([_request(2)])
    stopping = threading.Thread(target=publisher.stop)
    stopping.start()
    broker.go.set()
    stopping.join(30)

    wait_until(lambda: broker.ids() == ["req_1", "req_2"])


def test_stopping_does_not_wait_for_a_broker_that_hangs(publisher: Publisher, broker: Broker) -> None:
    broker.go.clear()
    publisher.send([_request(1)])
    assert broker.there.wait(30)

    publisher.stop()

    assert publisher._thread.is_alive()
    assert publisher._thread.daemon
