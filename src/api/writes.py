"""Submitting a write and, where the client asks for it, waiting for what comes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api.runtime import Runtime
from core.acceptance import Receipt, Submission
from core.errors import DomainError, RecordedFailure, ResourceNotFound, Unavailable
from core.requests import Request, get_request
from core.tasks.model import Task
from core.tasks.queries import get_task


@dataclass(frozen=True, slots=True)
class Written:
    """A receipt and, where the write was executed within the wait, the task as it is now."""

    receipt: Receipt
    task: Task | None


async def write(runtime: Runtime, submission: Submission, wait: float) -> Written:
    """Submit a command and wait `wait` seconds at most for its execution.

    Raises:
        DomainError: the submission was refused, or it was executed within the wait and failed (RecordedFailure).

    """
    if not wait:
        return Written(await _submit(runtime, submission), None)
    with runtime.waiters.expect(submission.request_id) as finished:
        receipt = await _submit(runtime, submission)
        try:
            return await _outcome(runtime, submission.caller.tenant_id, receipt, finished, wait)
        except Unavailable:  # it is accepted all the same: who was told otherwise might send it again
            return Written(receipt, None)


async def _outcome(
    runtime: Runtime, tenant_id: str, receipt: Receipt, finished: asyncio.Event | None, wait: float
) -> Written:
    if receipt.replayed:
        request: Request | None = await wait_for_request(runtime, tenant_id, receipt.request_id, wait)
    else:
        request = await runtime.waiters.wait(finished, _look(runtime, tenant_id, receipt.request_id), wait)
    if request is None or not request.finished:
        return Written(receipt, None)
    if request.error is not None:
        raise RecordedFailure(request.error, replayed=receipt.replayed)
    task = await runtime.reader.run(lambda connection: get_task(connection, tenant_id, receipt.task_id))
    return Written(receipt, task)


async def wait_for_request(runtime: Runtime, tenant_id: str, request_id: str, wait: float) -> Request:
    """Return a request when it is finished, or as it is after `wait` seconds.

    Raises:
        ResourceNotFound: the tenant has no such request.

    """
    request = await runtime.reader.run(lambda connection: get_request(connection, tenant_id, request_id))
    if request is None:
        raise ResourceNotFound(f"There is no request {request_id} in this workspace.")
    if request.finished or not wait:
        return request
    look = _look(runtime, tenant_id, request_id)
    with runtime.waiters.expect(request_id) as finished:
        # Once more, since it may have been finished before anybody knew of this waiter.
        return await look() or await runtime.waiters.wait(finished, look, wait) or request


async def _submit(runtime: Runtime, submission: Submission) -> Receipt:
    (answer,) = await runtime.intake.submit([submission])
    if isinstance(answer, DomainError):
        raise answer
    return answer


def _look(runtime: Runtime, tenant_id: str, request_id: str) -> Callable[[], Awaitable[Request | None]]:
    async def look() -> Request | None:
        request = await runtime.reader.run(lambda connection: get_request(connection, tenant_id, request_id))
        return request if request is not None and request.finished else None

    return look
