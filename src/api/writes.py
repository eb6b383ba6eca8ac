"""Submitting writes and, where the client asks for it, waiting for what comes of them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import AsyncConnection

from api.runtime import Runtime
from api.subjects import SUBJECTS, Subject
from api.views import View
from core.acceptance import Receipt, Submission
from core.errors import DomainError, Problem, RecordedFailure, ResourceNotFound, Unavailable
from core.requests import Request, get_requests

_Requests = Mapping[str, Request]


@dataclass(frozen=True, slots=True)
class Written:
    """A receipt and, where the write was executed within the wait, the record as it is now, or why it failed.

    `subject` says what kind of record that is, and `id` which.
    """

    receipt: Receipt
    subject: Subject
    record: Any = None
    error: Problem | None = None

    @property
    def id(self) -> str:
        """Id of the record that the write is about."""
        return self.subject.own_id(self.receipt.request_id, self.receipt.target_id)

    def view(self) -> View:
        """Return what the caller is told of a write that has not failed."""
        if self.record is None:
            return self.subject.accepted(self.id, self.receipt.request_id)
        return self.subject.changed(self.record, self.receipt.request_id)


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
        answers = await intake.submit(submissions)
        return [_outcome(each, answer, {}, {}) for each, answer in zip(submissions, answers, strict=True)]
    with runtime.waiters.expect(*[each.request_id for each in submissions]) as finished:
        answers = await intake.submit(submissions)
        receipts = [answer for answer in answers if isinstance(answer, Receipt)]
        tenant_id = submissions[0].caller.tenant_id
        try:
            requests = await _wait_for_receipts(runtime, tenant_id, receipts, finished, wait)
            records = await _records_of(runtime, tenant_id, requests)
        except Unavailable:  # they are accepted all the same: who was told otherwise might send them again
            requests, records = {}, {}
    return [_outcome(each, answer, requests, records) for each, answer in zip(submissions, answers, strict=True)]


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


async def _records_of(runtime: Runtime, tenant_id: str, requests: _Requests) -> Mapping[str, Any]:
    """Return by request the record that each of those that succeeded is about, by one statement for each subject."""
    ids: dict[Subject, dict[str, str]] = defaultdict(dict)
    for request in requests.values():
        if request.status == "succeeded":
            subject = SUBJECTS[request.command]
            ids[subject][request.id] = subject.own_id(request.id, request.target_id)
    records: dict[str, Any] = {}
    for subject, named in ids.items():
        found = await runtime.reader.run(partial(_get, subject, tenant_id, list(named.values())))
        by_id = {record.id: record for record in found}
        records |= {request_id: by_id[id_] for request_id, id_ in named.items()}
    return records


def _outcome(
    submission: Submission, answer: Receipt | DomainError, requests: _Requests, records: Mapping[str, Any]
) -> Written | DomainError:
    if isinstance(answer, DomainError):
        return answer
    subject, request = SUBJECTS[submission.command.kind], requests.get(answer.request_id)
    if request is None or not request.finished:
        return Written(answer, subject)
    return Written(answer, subject, records.get(request.id), request.error)


async def _get(subject: Subject, tenant_id: str, ids: Sequence[str], connection: AsyncConnection[Any]) -> Sequence[Any]:
    return await subject.get(connection, tenant_id, ids)
