"""Submitting writes and, where the client asks for it, waiting for what comes of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.runtime import Runtime
from core.acceptance import Receipt, Submission
from core.errors import DomainError, Problem, RecordedFailure, ResourceNotFound, Unavailable
from core.requests import Request, get_requests
from core.tasks.model import Task
from core.tasks.queries import get_tasks

_Requests = Mapping[str, Request]


@dataclass(frozen=True, slots=True)
class Written:
    """A receipt and, where the write was executed within the wait, the task as it is now, or why it failed."""

    receipt: Receipt
    task: Task | None = None
    error: Problem | None = None


async def write(runtime: Runtime, submission: Submission, wait: float) -> Written:
    """Submit a command and wait `wait` seconds at most for its execution.

    Raises:
        DomainError: the submission was refused, or it was executed within the wait and failed (RecordedFailure).

    """
    (outcome,) = await write_all(runtime, [submission], wait)
    if isinstance(outcome, DomainError):
        raise outcome
    if outcome.error is not None:
        raise RecordedFailure(outcome.error, replayed=outcome.receipt.replayed)
    return outcome


async def write_all(runtime: Runtime, submissions: Sequence[Submission], wait: float) -> list[Written | DomainError]:
    """Submit commands of one caller to one lane together, and wait `wait` seconds at most until all are executed.

    Returns for each, in order, what came of it, or the error that refused it alone.

    Raises:
        QueueFull: too much is waiting; none was accepted.
        Unavailable: Postgres cannot be reached.

    """
    if not submissions:
        return []
    intake = runtime.intakes[submissions[0].lane]
    if not wait:
        return [_outcome(answer, {}, {}) for answer in await intake.submit(submissions)]
    with runtime.waiters.expect(*[each.request_id for each in submissions]) as finished:
        answers = await intake.submit(submissions)
        receipts = [answer for answer in answers if isinstance(answer, Receipt)]
        tenant_id = submissions[0].caller.tenant_id
        try:
            requests = await _wait_for_receipts(runtime, tenant_id, receipts, finished, wait)
            tasks = await _tasks_of(runtime, tenant_id, requests)
        except Unavailable:  # they are accepted all the same: who was told otherwise might send them again
            requests, tasks = {}, {}
    return [_outcome(answer, requests, tasks) for answer in answers]


async def wait_for_request(runtime: Runtime, tenant_id: str, request_id: str, wait: float) -> Request:
    """Return a request when it is finished, or as it is after `wait` seconds.

    Raises:
        ResourceNotFound: the tenant has no such request.

    """
    found = await _wait_for_requests(runtime, tenant_id, [request_id], wait)
    if request_id not in found:
        raise ResourceNotFound(f"There is no request {request_id} in this workspace.")
    return found[request_id]


class _Look:
    """Looks whether requests are finished, and keeps those that it found, as it saw them last."""

    def __init__(self, runtime: Runtime, tenant_id: str, request_ids: Sequence[str]) -> None:
        self._runtime = runtime
        self._tenant_id = tenant_id
        self._unfinished = request_ids
        self.seen: dict[str, Request] = {}

    async def __call__(self) -> _Requests | None:
        """Return the requests if all of them are finished."""
        found = await self._runtime.reader.run(
            lambda connection: get_requests(connection, self._tenant_id, self._unfinished)
        )
        self.seen |= {request.id: request for request in found}
        self._unfinished = [request.id for request in found if not request.finished]
        return None if self._unfinished else self.seen


async def _wait_for_receipts(
    runtime: Runtime, tenant_id: str, receipts: Sequence[Receipt], finished: asyncio.Event | None, wait: float
) -> _Requests:
    request_ids = [receipt.request_id for receipt in receipts]
    if any(receipt.replayed for receipt in receipts):  # under an id that nobody was expected by
        return await _wait_for_requests(runtime, tenant_id, request_ids, wait)
    look = _Look(runtime, tenant_id, request_ids)
    await runtime.waiters.wait(finished, look, wait)
    return look.seen


async def _wait_for_requests(runtime: Runtime, tenant_id: str, request_ids: Sequence[str], wait: float) -> _Requests:
    look = _Look(runtime, tenant_id, request_ids)
    if await look() is None and wait:
        with runtime.waiters.expect(*request_ids) as finished:
            # Once more, since they may have been finished before anybody knew of this waiter.
            if await look() is None:
                await runtime.waiters.wait(finished, look, wait)
    return look.seen


async def _tasks_of(runtime: Runtime, tenant_id: str, requests: _Requests) -> Mapping[str, Task]:
    task_ids = [each.task_id for each in requests.values() if each.task_id and each.status == "succeeded"]
    if not task_ids:
        return {}
    found = await runtime.reader.run(lambda connection: get_tasks(connection, tenant_id, task_ids))
    return {task.id: task for task in found}


def _outcome(answer: Receipt | DomainError, requests: _Requests, tasks: Mapping[str, Task]) -> Written | DomainError:
    if isinstance(answer, DomainError):
        return answer
    request = requests.get(answer.request_id)
    if request is None or not request.finished:
        return Written(answer)
    if request.error is not None:
        return Written(answer, error=request.error)
    return Written(answer, tasks[answer.target_id])
