"""Celery's entry point: `celery --app worker.main worker` and `... beat`."""

from worker.consumer import SteadyConsumer
from worker.tasks import app

app.conf.worker_consumer = SteadyConsumer
