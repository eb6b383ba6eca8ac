"""Execution: the batch transaction. Lock, load, decide, write, audit, finish, and commit once.

Two executions that touch one target never run at once and never out of order: each locks *all* queued requests of the
targets that it touches, in the order of their places in line, and then the targets. Both see the first of the
requests, so one waits for the other; where a front end committed late and they do not, they meet at the target.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, cast

import psycopg
import structlog
from psycopg import Connection

from core.activity.queries import ACTIVITIES
from core.audit import append_events
from core.crm.queries import existing
from core.decisions import Asked, Decided, decide, read, refuse
from core.errors import DomainError, InternalError
from core.handlers import State
from core.imports.tallies import tell_imports
from core.queue import Batch
from core.queued import QueuedRequest, count_runs, finish_requests, lock_queued, put_off
from core.tasks.queries import TASKS

log = structlog.get_logger(__name__)

STORES = (TASKS, ACTIVITIES)
"""What commands may make and change, in the order in which it is locked and written."""

_POISON = InternalError("The command could not be written, and was set aside so that others can be.")
_DEADLY = InternalError("The command was given up: each worker that ran it died.")
_SLOW = InternalError("The command was given up: it took too long each time that it was run.")


@dataclass(frozen=True, slots=True)
class Executed:
    """What a batch came to: the requests that are finished, and those of the batch that its bound left queued.

    What was reached, and put off because a handler crashed, is in neither: the reconciler waits before it tries again.
    `left_at` is the database's time from which the reconciler waits for what is left.
    """

    finished: list[QueuedRequest]
    left: Batch
    left_at: datetime | None = None


class _TooSlow(psycopg.errors.QueryCanceled):
    """A statement over these requests took too long, and none of them was executed."""

    def __init__(self, queued: list[QueuedRequest]) -> None:
        super().__init__(f"{len(queued)} requests took too long")
        self.queued = queued


def is_poison(error: Exception) -> bool:
    """Tell whether an error is of a command's own making; the rest is the database's, and passes."""
    if isinstance(error, psycopg.ProgrammingError):
        return error.sqlstate is None  # the driver refused a value; the server refuses what a migration lacks
    values = psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded
    return not isinstance(error, psycopg.Error) or isinstance(error, values)


class Execution:
    """Executes batches over one connection.

    Every method raises psycopg.Error when the database failed; then nothing of its transaction was done.
    """

    def __init__(self, connection: Connection[Any], *, limit: int, max_attempts: int) -> None:
        """Take the most requests of one transaction, and the most runs of a command that keeps failing."""
        self._connection = connection
        self._limit = limit
        self._max_attempts = max_attempts

    def run(self, batch: Batch) -> Executed:
        """Execute the requests of a batch and whatever else is queued for their targets, in one transaction.

        Where these take too long, the first half of them. One that takes too long by itself is run again later.
        """
        limit = self._limit
        while True:
            try:
                return self._run(batch, limit)
            except _TooSlow as slow:
                log.warning("batch_too_slow", requests=len(slow.queued), error=repr(slow.__cause__))
                if len(slow.queued) == 1:
                    return self._transaction(batch, 1, self._apply_slow, only=slow.queued)
                limit = len(slow.queued) // 2

    def count_run(self, batch: Batch) -> list[QueuedRequest]:
        """Count a run of the first queued request of the one task that the batch names; return it, if there is one.

        A worker that dies of it leaves a trace so. Once for each message: what the database makes the worker try again
        is no further run. Only who has the task's `turn` counts: of those who count at once but one could run it.
        """
        with self._connection.transaction():
            first = lock_queued(self._connection, batch, 1)
            count_runs(self._connection, first, 1)
        return [replace(request, attempts=request.attempts + 1) for request in first]

    def run_alone(self, batch: Batch, counted: list[QueuedRequest]) -> Executed:
        """Execute the request whose run was counted and nothing else, if it is the first of its line still.

        One that has used up its runs fails unrun.
        """
        try:
            return self._transaction(batch, 1, self._apply_suspect, only=counted)
        except _TooSlow:
            return self._transaction(batch, 1, partial(self._apply_slow, runs=0), only=counted)

    def _run(self, batch: Batch, limit: int) -> Executed:
        try:
            return self._transaction(batch, limit, self._apply)
        except Exception as error:
            if not is_poison(error):
                raise
            log.warning("batch_poisoned", error=repr(error))
            return self._transaction(batch, limit, self._apply_halving)

    def _transaction(
        self,
        batch: Batch,
        limit: int,
        apply: Callable[[list[QueuedRequest]], list[QueuedRequest]],
        *,
        only: list[QueuedRequest] | None = None,
    ) -> Executed:
        with self._connection.transaction():
            queued = lock_queued(self._connection, batch, limit)
            if only is not None and queued != only:
                queued = []  # what was meant is finished, and others are first in line: not for this to touch
            try:
                finished = apply(queued) if queued else []
            except psycopg.errors.QueryCanceled as error:
                raise _TooSlow(queued) from error
        return Executed(finished, *put_off(self._connection, _without(batch, queued)))

    def _apply(self, queued: list[QueuedRequest], *, runs: int = 1) -> list[QueuedRequest]:
        """Decide and write; `runs` is what this adds to the attempts, 0 where it was counted beforehand."""
        asked = [read(request) for request in queued]
        state, now = self._load(asked)
        decided = decide(asked, state, now, runs_left=lambda request: request.attempts + runs < self._max_attempts)
        return self._write(decided, runs=runs)

    def _apply_halving(self, queued: list[QueuedRequest], *, runs: int = 1) -> list[QueuedRequest]:
        """Apply what can be applied: halve the batch, in order, until what cannot be written stands alone."""
        try:
            with self._connection.transaction():  # a savepoint: the locks stay
                return self._apply(queued, runs=runs)
        except Exception as error:
            if not is_poison(error):
                raise
            if len(queued) == 1:
                log.exception("poison_set_aside", request_id=queued[0].id)
                return self._refuse(queued[0], _POISON, runs=runs)
        middle = len(queued) // 2
        finished = self._apply_halving(queued[:middle], runs=runs)
        done = {request.id for request in finished}
        waiting = {request.target for request in queued[:middle] if request.id not in done}
        rest = [request for request in queued[middle:] if request.target not in waiting]
        return finished + (self._apply_halving(rest, runs=runs) if rest else [])

    def _apply_suspect(self, queued: list[QueuedRequest]) -> list[QueuedRequest]:
        if queued[0].attempts > self._max_attempts:
            return self._refuse(queued[0], _DEADLY, runs=-1)  # the run that was counted does not happen
        return self._apply_halving(queued, runs=0)

    def _apply_slow(self, queued: list[QueuedRequest], *, runs: int = 1) -> list[QueuedRequest]:
        """Count the run of the one request that took too long; the last of its runs fails it."""
        if queued[0].attempts + runs >= self._max_attempts:
            return self._refuse(queued[0], _SLOW, runs=runs)
        count_runs(self._connection, queued, runs)
        return []

    def _refuse(self, request: QueuedRequest, error: DomainError, *, runs: int) -> list[QueuedRequest]:
        asked = read(request)
        state, now = self._load([asked])
        return self._write(refuse(asked, state, now, error), runs=runs)

    def _load(self, asked: Sequence[Asked]) -> tuple[State, datetime]:
        """Load what the commands name, in statements that begin after the locks are held; the time is Postgres's."""
        state = State()
        targets = {each.request.target for each in asked}
        for store in STORES:
            if named := {target for target in targets if target.type in store.types}:
                state.records |= {record.target: record for record in store.load(self._connection, named)}
        state.existing = existing(self._connection, {target for each in asked for target in each.references()})
        row = self._connection.execute("SELECT statement_timestamp()").fetchone()
        (now,) = cast("tuple[datetime]", row)
        return state, now

    def _write(self, decided: Decided, *, runs: int) -> list[QueuedRequest]:
        """Write a batch, one statement for each table whatever its size; return the requests that it finished."""
        with self._connection.pipeline():  # nothing is read, so that one round trip does for all of them
            changed = decided.changed()
            for store in STORES:
                if records := [record for record in changed if isinstance(record, store.record)]:
                    store.save(self._connection, records)
            if decided.verdicts:
                append_events(self._connection, [verdict.audit_event() for verdict in decided.verdicts])
                finish_requests(self._connection, [verdict.finish() for verdict in decided.verdicts], runs=runs)
                tell_imports(self._connection, decided.verdicts)
            if decided.postponed:
                count_runs(self._connection, decided.postponed, runs)
        return [verdict.request for verdict in decided.verdicts]


def _without(batch: Batch, reached: Sequence[QueuedRequest]) -> Batch:
    done = {request.id for request in reached}
    left = {tenant_id: [id_ for id_ in ids if id_ not in done] for tenant_id, ids in batch.items()}
    return {tenant_id: ids for tenant_id, ids in left.items() if ids}
