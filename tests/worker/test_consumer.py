"""Celery's consumer, mended: it outlives a broker that crashes."""

from unittest import mock

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError

import worker.main  # noqa: F401 (configures the app)
from core.queue import celery_app
from worker.consumer import SteadyConsumer


def _consumer() -> SteadyConsumer:
    consumer: SteadyConsumer = SteadyConsumer.__new__(SteadyConsumer)
    consumer.connection = mock.sentinel.broken
    return consumer


def test_the_worker_uses_the_mended_consumer() -> None:
    assert celery_app().conf.worker_consumer is SteadyConsumer


def test_a_cleanup_that_fails_on_a_broken_connection_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = mock.Mock(side_effect=AttributeError("'NoneType' object has no attribute 'hostname'"))
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", failing)
    consumer = _consumer()

    consumer.on_connection_error_after_connected(ConnectionError())

    assert failing.called
    assert consumer.connection is None


def test_another_error_of_the_cleanup_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = mock.Mock(side_effect=MemoryError)
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", failing)

    with pytest.raises(MemoryError):
        _consumer().on_connection_error_after_connected(ConnectionError())


def test_reconnecting_is_tried_without_end_and_at_least_every_second() -> None:
    connection = mock.Mock()

    _consumer().ensure_connected(connection)

    (errback, retries), waits = connection.ensure_connection.call_args
    assert retries is None
    assert waits["interval_max"] <= 1.0
    errback(OperationalError("refused"), 1.0)


def test_messages_are_acknowledged_early_and_results_go_nowhere() -> None:
    conf = celery_app().conf

    assert not conf.task_acks_late
    assert conf.task_ignore_result
    assert conf.result_backend is None
    assert conf.accept_content == ["json"]
    assert not conf.task_create_missing_queues
