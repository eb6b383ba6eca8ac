"""Requests over HTTP: what became of a write."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from api.access import TaskReader
from api.answers import tagged
from api.documentation import read_operation
from api.exchange import CurrentExchange, Waits
from api.reads import follow, settle
from api.views import RequestFound, RequestView
from core.errors import ResourceNotFound
from core.fields import IdempotencyKey, Identifier
from core.requests import Request as WriteRequest
from core.requests import get_request_by_key

router = APIRouter(tags=["requests"])

RequestId = Annotated[Identifier, Path(description="Request identifier, as a receipt gives it.")]


class RequestByKey(Waits):
    """What finds a request beside its id."""

    idempotency_key: IdempotencyKey = Field(description="The key under which the write was sent.")


_OPERATION = read_operation(RequestFound, "tasks:read", "request_found", tagged=True, polled=True)


@router.get(
    "/v1/requests/{request_id}",
    summary="Get a request",
    **_OPERATION,
)
async def get_request_(
    request: Request,
    caller: TaskReader,
    exchange: CurrentExchange,
    request_id: RequestId,
    query: Annotated[Waits, Query()],
) -> Response:
    """Return the status of a write; `Prefer: wait=N` waits until it is finished, N seconds at most."""
    await settle(exchange, caller, query)
    found = await follow(exchange, caller, request_id, exchange.wait or 0)
    return _status(request, found)


@router.get(
    "/v1/requests",
    summary="Find a request by its idempotency key",
    **_OPERATION,
)
async def find_request(
    request: Request, caller: TaskReader, exchange: CurrentExchange, query: Annotated[RequestByKey, Query()]
) -> Response:
    """Return the status of the write that was accepted under a key; 404 where none was."""
    await settle(exchange, caller, query)
    key = query.idempotency_key
    found = await exchange.runtime.reader.run(lambda connection: get_request_by_key(connection, caller.tenant_id, key))
    if found is None:
        raise ResourceNotFound("No write was accepted under this idempotency key in this workspace.")
    return _status(request, await follow(exchange, caller, found.id, exchange.wait or 0))


def _status(request: Request, found: WriteRequest) -> Response:
    headers = {} if found.finished else {"Retry-After": "1"}
    return tagged(request, RequestFound(request=RequestView.of(found)), f'"{found.status}.{found.attempts}"', headers)
