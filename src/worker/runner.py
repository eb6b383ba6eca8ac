"""What a worker process holds between messages: its connection to Postgres, and whom to wake."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
import structlog
from celery.worker import state as celery_state
from psycopg import Connection

from core.db import connect
from core.execution import Executed, Execution
from core.imports.feeding import Feeder, unfinished_imports
from core.queue import BROKER_ERRORS, Batch
from core.queued import turn
from core.reconciler import reconcile
from core.settings import Settings
from core.waiters import Waker

log = structlog.get_logger(__name__)

# How long a message is held while Postgres is away, in seconds. After that it is dropped: the reconciler has it.
_PATIENCE = 20.0

# Another worker holds what is needed, or Postgres is slow. Trying again would keep other messages waiting.
_NOT_AT_ONCE = psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled

T = TypeVar("T")


class Runner:
    """Runs batches and reconciliation over one connection, which is made anew when it breaks."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the connection is made when first needed."""
        self._settings = settings
        self._connection: Connection[Any] | None = None
        self._waker = Waker(settings)

    def execute(self, batch: Batch, *, alone: bool) -> Executed:
        """Execute a batch and wake those who wait for it; drop what cannot be had at once."""
        try:
            executed = self._execute(batch, alone=alone)
        except _NOT_AT_ONCE as error:
            log.warning("batch_dropped", error=repr(error))
            return Executed([], {})
        self._waker.wake([request.id for request in executed.finished])
        for tenant_id, import_id in {(each.tenant_id, each.import_id) for each in executed.finished if each.import_id}:
            self.feed(tenant_id, import_id)
        log.debug("batch_executed", requests=len(executed.finished), left=sum(map(len, executed.left.values())))
        return executed

    def reconcile(self) -> int:
        """Run one round of the reconciler, and move every import on; return how many requests were sent again."""
        sent = self._steadily(lambda connection: reconcile(connection, self._settings))
        for tenant_id, import_id in self._steadily(unfinished_imports):
            self.feed(tenant_id, import_id)
        return sent

    def feed(self, tenant_id: str, import_id: str) -> None:
        """Move an import on; what cannot be had at once is left to the next round of maintenance."""
        try:
            self._steadily(lambda connection: Feeder(connection, self._settings).feed(tenant_id, import_id))
        except (*_NOT_AT_ONCE, *BROKER_ERRORS) as error:
            log.warning("import_not_fed", import_id=import_id, error=repr(error))

    def _execute(self, batch: Batch, *, alone: bool) -> Executed:
        if not alone:
            return self._steadily(lambda connection: self._execution(connection).run(batch))
        with turn(self._settings, batch):
            counted = self._steadily(lambda connection: self._execution(connection).count_run(batch))
            return self._steadily(lambda connection: self._execution(connection).run_alone(batch, counted))

    def _execution(self, connection: Connection[Any]) -> Execution:
        return Execution(connection, limit=self._settings.execution_batch, max_attempts=self._settings.max_attempts)

    def _steadily(self, work: Callable[[Connection[Any]], T]) -> T:
        """Do some work, again and again while the database fails, until patience or the process ends."""
        deadline, pause = time.monotonic() + _PATIENCE, 0.05
        while True:
            try:
                return work(self._connect())
            except _NOT_AT_ONCE:
                raise
            except psycopg.Error as error:
                self._disconnect()
                if time.monotonic() > deadline or celery_state.should_stop is not None:
                    raise
                log.warning("database_failed", error=repr(error), pause=pause)
                time.sleep(pause)
                pause = min(2 * pause, 1.0)

    def _connect(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, worker=True)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
