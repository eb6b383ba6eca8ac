"""Celery's beat, mended: it outlives its broker, and its rounds do not pile up."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
from celery.beat import ScheduleEntry
from kombu.exceptions import OperationalError
from redis import Redis

from core.queue import MAINTENANCE, RECONCILE, celery_app, publish_feed
from core.settings import Settings
from tests.cli.commands import clean_environment, variables_of
from tests.concurrency import wait_until
from tests.lanes import Lanes
from tests.proxy import WeakServer
from worker.beat import SteadyScheduler

ROOT = Path(__file__).parents[2]


@pytest.fixture
def maintenance(settings: Settings) -> Iterator["Redis"]:
    """The server whose list of maintenance messages is empty, before and after."""
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.delete(MAINTENANCE)
        yield redis
        redis.delete(MAINTENANCE)


@pytest.fixture
def scheduler(maintenance: "Redis") -> Iterator[SteadyScheduler]:
    scheduler = SteadyScheduler(celery_app())
    yield scheduler
    scheduler.close()


def _round(scheduler: SteadyScheduler) -> ScheduleEntry:
    return scheduler.schedule["reconcile"]


def _headers(redis: "Redis") -> list[dict[str, Any]]:
    raw: Any = redis.lrange(MAINTENANCE, 0, -1)
    return [orjson.loads(each)["headers"] for each in raw]


def _rounds(redis: "Redis") -> int:
    return sum(headers["task"] == RECONCILE for headers in _headers(redis))


def test_connecting_is_tried_without_end_and_at_least_every_second() -> None:
    scheduler = SteadyScheduler(celery_app(), lazy=True)
    scheduler.connection = mock.Mock()

    scheduler._ensure_connected()

    (errback, retries), waits = scheduler.connection.ensure_connection.call_args
    assert retries is None
    assert waits["interval_max"] <= 1.0
    errback(OperationalError("refused"), 1.0)


def test_a_round_that_waits_is_not_sent_twice_however_long_no_worker_takes_it(
    scheduler: SteadyScheduler, maintenance: "Redis"
) -> None:
    for _ in range(3):
        scheduler.apply_entry(_round(scheduler))
    assert _rounds(maintenance) == 1

    maintenance.delete(MAINTENANCE)
    scheduler.apply_entry(_round(scheduler))

    assert _rounds(maintenance) == 1


def test_other_messages_of_maintenance_keep_no_round_from_being_sent(
    scheduler: SteadyScheduler, maintenance: "Redis"
) -> None:
    publish_feed("ten_1", "imp_1")

    scheduler.apply_entry(_round(scheduler))

    assert _rounds(maintenance) == 1


def test_no_round_expires_since_the_clocks_of_two_machines_may_differ(
    scheduler: SteadyScheduler, maintenance: "Redis"
) -> None:
    scheduler.apply_entry(_round(scheduler))

    assert [headers["expires"] for headers in _headers(maintenance)] == [None]


def test_a_beat_that_starts_without_its_broker_sends_rounds_once_that_is_there(
    weak_valkey: WeakServer, maintenance: "Redis", lanes: Lanes, tmp_path: Path
) -> None:
    (command,) = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("beat: ")]
    program, *arguments = shlex.split(command.removeprefix("beat: "))
    weak_valkey.proxy.cut()
    log = tmp_path / "log"
    with (
        log.open("wb") as written,
        subprocess.Popen(
            [Path(sys.prefix, "bin", program), *arguments],
            env=clean_environment(**variables_of(weak_valkey.settings)),
            stderr=written,
            stdout=written,
        ) as beat,
    ):
        try:
            wait_until(lambda: log.read_text().count("broker_unreachable") > 3)
            weak_valkey.proxy.restore()
            wait_until(lambda: _rounds(maintenance) == 1)
        finally:
            beat.terminate()
