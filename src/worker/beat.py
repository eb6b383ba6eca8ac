"""Celery's beat, which fires maintenance: it outlives its broker, and needs no clock but its own."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from kombu.connection import Connection

from core.queue import is_waiting
from worker.consumer import connect_steadily


class SteadyScheduler(Scheduler):
    """Celery's scheduler that keeps its schedule in memory, mended in two places; see docs/decisions/0005."""

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (Celery's result)
        """Send no message while the last one waits: without workers they would pile up.

        Celery's own means is an expiry by the clock of the sender's machine; a receiver whose clock is ahead would
        drop every message.
        """
        return None if is_waiting(entry.task) else super().apply_async(entry, *args, **kwargs)

    def _ensure_connected(self) -> Connection:
        return connect_steadily(self.connection)
