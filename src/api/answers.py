"""How a view becomes an answer: bytes, status, and the headers that go with them."""

from collections.abc import Sequence
from hashlib import blake2b
from http import HTTPStatus

from fastapi import Request, Response

from api.connected import while_connected
from api.exchange import Exchange
from api.problems import problem_response
from api.results import BatchResults
from api.views import View
from api.writes import write
from core.acceptance import Submission
from core.errors import RecordedFailure
from core.requests import Request as WriteRequest
from core.tasks.model import Task

_JSON = "application/json"


async def written(exchange: Exchange, submission: Submission, executed: HTTPStatus) -> Response:
    """Submit a write and answer: `executed` where the client waited for it and it was, else 202.

    Raises:
        DomainError: the write was refused before it was accepted.

    """
    try:
        wait = exchange.wait or 0
        result = await while_connected(exchange.receive, wait, write(exchange.runtime, submission, wait))
    except RecordedFailure as failure:
        problem = failure.problem(request_id=exchange.id, instance=exchange.path)
        headers = _receipted(problem["request_id"], replayed=failure.replayed)
        return problem_response(problem, headers | _applied(exchange))
    headers = _receipted(result.receipt.request_id, replayed=result.receipt.replayed)
    if result.record is None:
        return found(result.view(), {**headers, "Retry-After": "1"}, HTTPStatus.ACCEPTED)
    headers |= _applied(exchange)
    if isinstance(result.record, Task):
        headers["ETag"] = task_tag(result.record)
    return found(result.view(), headers, executed)


def batch_written(exchange: Exchange, results: BatchResults) -> Response:
    """Answer 200 where every command is refused or executed, else 202: something is still to come."""
    if not results.settled:
        return Response(results.model_dump_json(), HTTPStatus.ACCEPTED, {"Retry-After": "1"}, _JSON)
    return found(results, _applied(exchange) if exchange.wait else None)


def _receipted(request_id: str, *, replayed: bool) -> dict[str, str]:
    return {"Location": f"/v1/requests/{request_id}", **({"Idempotent-Replayed": "true"} if replayed else {})}


def _applied(exchange: Exchange) -> dict[str, str]:
    return {"Preference-Applied": f"wait={exchange.wait}"}


def found(view: View, headers: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Answer with a document."""
    return Response(view.model_dump_json(), status, headers, _JSON)


def tagged(request: Request, view: View, tag: str, headers: dict[str, str] | None = None) -> Response:
    """Answer 200 with a document and its ETag, or 304 where the client has it (RFC 9110, section 13.1.2)."""
    all_headers = {**(headers or {}), "ETag": tag}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=all_headers)
    return found(view, all_headers)


def task_tag(task: Task, pending: Sequence[WriteRequest] = ()) -> str:
    """Return the ETag of a task: its revision, and a digest of what may change in the writes that are pending."""
    if not pending:
        return f'"{task.revision}"'
    line = repr([(request.seq, request.attempts) for request in pending]).encode()
    return f'"{task.revision}+{blake2b(line, digest_size=8).hexdigest()}"'
