"""A Celery consumer that outlives its broker."""

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection

log = get_logger(__name__)


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
        """Reconnect within a second of the broker's return; Celery's own waits grow to 30 s and are fixed."""
        connected: Connection = conn.ensure_connection(
            self._report,
            None,
            interval_start=0.2,
            interval_step=0.2,
            interval_max=1.0,
            callback=maybe_shutdown,
        )
        return connected

    def _report(self, error: Exception, interval: float) -> None:
        log.warning("broker_unreachable, next try in %.1f s: %r", interval, error)
