"""The Celery tasks: what a message of each kind does."""

import functools

from core.queue import EXECUTE, FEED, RECONCILE, Batch, Lane, celery_app, publish
from core.settings import load_settings
from worker.runner import Runner

app = celery_app()


@functools.cache
def _runner() -> Runner:
    return Runner(load_settings())


@app.task(name=EXECUTE)
def execute(lane: Lane, batch: Batch, *, alone: bool) -> None:
    """Execute a batch of requests; what a bound leaves of it goes to the end of the lane."""
    executed = _runner().execute(batch, alone=alone)
    if executed.left_at is not None:
        publish(lane, executed.left, sent_at=executed.left_at, alone=alone)


@app.task(name=RECONCILE)
def reconcile() -> None:
    """Send requests again whose message was lost."""
    _runner().reconcile()


@app.task(name=FEED)
def feed(tenant_id: str, import_id: str) -> None:
    """Send the next rows of an import."""
    _runner().feed(tenant_id, import_id)
