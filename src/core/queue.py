"""The queue: Celery app, lanes, wire names and how a message is published. Nothing else knows these.

A message is a batch: the ids of requests by tenant. It may be lost or come twice; the reconciler mends the one,
execution the other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Literal, get_args

import orjson
from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from core.settings import load_settings

Lane = Literal["interactive", "bulk"]
LANES: tuple[Lane, ...] = get_args(Lane)
MAINTENANCE = "maintenance"

EXECUTE = "baton.execute"
RECONCILE = "baton.reconcile"
FEED = "baton.feed"
_SENT_AT = "baton_sent_at"

Batch = Mapping[str, Sequence[str]]
"""Request ids by tenant id."""

# How far back `is_waiting` looks: what moves imports on waits there, too.
_NEWEST = 100

# What a publisher waits at most, in seconds: a broker that is away, frozen or full must not hold a caller.
_PUBLISH_TIMEOUT = 0.5
_RETRY_POLICY = {"max_retries": 0, "interval_start": 0, "interval_step": 0.05, "interval_max": 0.05}

BROKER_ERRORS = (KombuError, RedisError, OSError)
"""What is raised here when the broker does not take or give a message in time."""


@cache
def celery_app() -> Celery:
    """Return the Celery app of this process, configured from its settings."""
    settings = load_settings()
    app = Celery("baton", broker=str(settings.redis_url), set_as_current=False)
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in (*LANES, MAINTENANCE)],
        task_default_queue=MAINTENANCE,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_publish_retry=False,
        task_publish_retry_policy=_RETRY_POLICY,
        broker_pool_limit=2,
        broker_pool_acquire_timeout=_PUBLISH_TIMEOUT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": _PUBLISH_TIMEOUT,
            "socket_connect_timeout": 0.3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "visibility_timeout": 60,
            **_RETRY_POLICY,
        },
        # Touches only messages that are acknowledged late, of which there are none here; unset, Celery warns.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=True,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        beat_schedule={
            "reconcile": {
                "task": RECONCILE,
                "schedule": settings.reconcile_every,
                "options": {"queue": MAINTENANCE},
            }
        },
    )
    return app


def publish(lane: Lane, batch: Batch, *, sent_at: datetime, alone: bool = False) -> None:
    """Publish one message for a batch of queued requests.

    `sent_at` is the database's time, which the reconciler compares with the rows' own. `alone` marks a suspect,
    to be run by itself. Waits for the broker half a second at most; raises one of BROKER_ERRORS.
    """
    celery_app().send_task(
        EXECUTE,
        kwargs={"lane": lane, "batch": batch, "alone": alone},
        queue=lane,
        headers={_SENT_AT: sent_at.isoformat()},
        retry=False,
        ignore_result=True,
        argsrepr="",  # for Celery's own log and tools; the message would hold every id twice
        kwargsrepr="",
    )


def publish_feed(tenant_id: str, import_id: str) -> None:
    """Have an import moved on now, and not in the next round of maintenance; raises one of BROKER_ERRORS."""
    celery_app().send_task(
        FEED,
        kwargs={"tenant_id": tenant_id, "import_id": import_id},
        queue=MAINTENANCE,
        retry=False,
        ignore_result=True,
        argsrepr="",  # for Celery's own log and tools; the message would hold every id twice
        kwargsrepr="",
    )


def is_waiting(task: str) -> bool:
    """Return whether a message for a task is among the newest of maintenance; raises one of BROKER_ERRORS."""
    with celery_app().pool.acquire(block=True, timeout=_PUBLISH_TIMEOUT) as connection:
        newest = connection.default_channel.client.lrange(MAINTENANCE, 0, _NEWEST - 1)
    return any(orjson.loads(message)["headers"]["task"] == task for message in newest)


def oldest_waiting(lane: Lane) -> datetime | None:
    """Return `sent_at` of the message that has waited longest in a lane; raises one of BROKER_ERRORS."""
    with celery_app().pool.acquire(block=True, timeout=_PUBLISH_TIMEOUT) as connection:
        message = connection.default_channel.client.lindex(lane, -1)
    return datetime.fromisoformat(orjson.loads(message)["headers"][_SENT_AT]) if message else None
