"""The Celery tasks: what a message of each kind does."""

import functools

from core.queue import EXECUTE, RECONCILE, Batch, Lane, celery_app, publish
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
