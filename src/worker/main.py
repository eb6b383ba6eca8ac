"""Celery's entry point: `celery --app worker.main worker` and `... beat`."""

from core.queue import app
from worker import tasks as tasks  # noqa: PLC0414 (registers them)
from worker.consumer import SteadyConsumer

app.conf.worker_consumer = SteadyConsumer
