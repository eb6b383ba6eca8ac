"""Publishing off the request's path: a thread of its own, a bounded backlog, and a breaker.

Whatever is dropped here stays queued in Postgres, and the reconciler sends it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

import structlog

from core.queue import Lane, publish

log = structlog.get_logger(__name__)

_BREAK_SECONDS = 1.0
_MOST_WAITING = 20_000

Sendable = tuple[Lane, str, str, datetime]
"""Lane, tenant id, request id, and the database's time at which it was accepted."""


class Publisher:
    """Publishes committed requests in the background; what arrives meanwhile shares the next messages."""

    def __init__(self, message_size: int) -> None:
        """Take the most request ids that one message carries."""
        self._message_size = message_size
        self._waiting: list[Sendable] = []
        self._changed = threading.Condition()
        self._closed_until = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what waits, a second at most, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def send(self, requests: Iterable[Sendable]) -> None:
        """Take committed requests; never waits, never raises."""
        with self._changed:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.extend(requests)
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                taken, self._waiting = self._waiting, []
            if not taken:
                return
            if time.monotonic() >= self._closed_until:
                self._publish(taken)

    def _publish(self, requests: list[Sendable]) -> None:
        try:
            for lane, batch, sent_at in messages(requests, self._message_size):
                publish(lane, batch, sent_at=sent_at)
        except Exception as error:  # noqa: BLE001 (whatever the client makes of a broken broker, the thread goes on)
            self._closed_until = time.monotonic() + _BREAK_SECONDS
            log.warning("publish_failed", error=repr(error), requests=len(requests))


def messages(requests: Iterable[Sendable], size: int) -> Iterator[tuple[Lane, dict[str, list[str]], datetime]]:
    """Yield lane, batch and time of the messages for some requests: in order, `size` ids at most in each."""
    lanes: dict[Lane, list[Sendable]] = defaultdict(list)
    for request in requests:
        lanes[request[0]].append(request)
    for lane, members in lanes.items():
        rest = iter(members)
        while chunk := list(islice(rest, size)):
            batch: dict[str, list[str]] = defaultdict(list)
            for _, tenant_id, request_id, _ in chunk:
                batch[tenant_id].append(request_id)
            yield lane, dict(batch), min(sent_at for *_, sent_at in chunk)
