"""A Celery consumer that outlives its broker."""

from collections.abc import Callable

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection

log = get_logger(__name__)


def connect_steadily(connection: Connection, callback: Callable[[], None] | None = None) -> Connection:
    """Connect within a second of the broker's return; Celery's own waits grow to 30 s and are fixed.

    The callback is called while waiting, and may end that by an exception.
    """
    connected: Connection = connection.ensure_connection(
        _report, None, interval_start=0.2, interval_step=0.2, interval_max=1.0, callback=callback
    )
    return connected


def _report(error: Exception, interval: float) -> None:
    log.warning("broker_unreachable, next try in %.1f s: %r", interval, error)


class SteadyConsumer(Consumer):
    """Celery's consumer, mended in two places; see docs/decisions/0005."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Survive a cleanup that fails on a connection which is half gone already (Celery 5.7.0)."""
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError:
            log.warning("broker_cleanup_failed", exc_info=True)
            self.connection = None

    def ensure_connected(self, conn: Connection) -> Connection:
        """Reconnect soon, unless the process is to end."""
        return connect_steadily(conn, maybe_shutdown)
