"""Publishing: what a message is, and a broker that is away or frozen."""

from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import pytest

import core.queue
from core.queue import BROKER_ERRORS, EXECUTE, LANES, celery_app, oldest_waiting, publish
from tests.lanes import Lanes, Message
from tests.proxy import Proxy, WeakServer

_NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.fixture
def broker(weak_valkey: WeakServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy through which this process reaches the broker."""
    with mock.patch.object(core.queue, "load_settings", return_value=weak_valkey.settings):
        app = celery_app.__wrapped__()
    monkeypatch.setattr(core.queue, "celery_app", lambda: app)
    yield weak_valkey.proxy
    app.pool.force_close_all()


def test_a_message_carries_lane_and_ids_and_nothing_else(lanes: Lanes) -> None:
    publish("interactive", {"ten_1": ["req_1", "req_2"]}, sent_at=_NOW)
    publish("interactive", {"ten_1": ["req_3"]}, sent_at=_NOW, alone=True)

    assert lanes.messages("interactive", "ten_1") == [
        Message("interactive", {"ten_1": ["req_1", "req_2"]}, alone=False, sent_at=_NOW),
        Message("interactive", {"ten_1": ["req_3"]}, alone=True, sent_at=_NOW),
    ]


def test_a_message_of_a_full_batch_is_a_few_kilobytes(lanes: Lanes) -> None:
    publish("bulk", {"ten_1": [f"req_{number:026}" for number in range(200)]}, sent_at=_NOW)

    (message,) = lanes.redis.lrange("bulk", 0, -1)

    assert len(message) < 12_000
    assert EXECUTE.encode() in message


def test_the_oldest_message_of_a_lane_tells_when_it_was_sent(lanes: Lanes) -> None:
    assert [oldest_waiting(lane) for lane in LANES] == [None, None]

    publish("interactive", {"ten_1": ["req_1"]}, sent_at=_NOW)
    publish("interactive", {"ten_1": ["req_2"]}, sent_at=_NOW.replace(year=2020))

    assert [oldest_waiting(lane) for lane in LANES] == [_NOW, None]


def test_a_broker_that_is_away_takes_nothing_and_takes_again_when_it_is_back(lanes: Lanes, broker: Proxy) -> None:
    publish("interactive", {"ten_1": ["req_1"]}, sent_at=_NOW)
    broker.cut()
    for _ in range(3):
        with pytest.raises(BROKER_ERRORS):
            publish("interactive", {"ten_1": ["req_2"]}, sent_at=_NOW)
        with pytest.raises(BROKER_ERRORS):
            oldest_waiting("interactive")
    broker.restore()

    publish("interactive", {"ten_1": ["req_3"]}, sent_at=_NOW)

    assert lanes.named("interactive", "ten_1") == ["req_1", "req_3"]


@pytest.mark.parametrize("connected", [False, True])
def test_a_frozen_broker_refuses_and_does_not_hang(lanes: Lanes, broker: Proxy, *, connected: bool) -> None:
    if connected:
        publish("interactive", {"ten_1": ["req_1"]}, sent_at=_NOW)
    broker.freeze()

    for _ in range(2):
        with pytest.raises(BROKER_ERRORS):
            publish("interactive", {"ten_1": ["req_2"]}, sent_at=_NOW)
        with pytest.raises(BROKER_ERRORS):
            oldest_waiting("interactive")
    broker.restore()

    publish("interactive", {"ten_1": ["req_3"]}, sent_at=_NOW)
    assert lanes.named("interactive", "ten_1")[-1] == "req_3"
