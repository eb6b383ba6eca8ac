"""The gate before MCP: nothing passes without a token, without the scope of the tool it calls, or beyond the limits.

A refusal is an HTTP status with its challenge (RFC 6750) and, as the body, a JSON-RPC error whose data is the problem
document: the one answer that clients of every kind show to whoever has to mend it.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.exchange import read_body
from api.problems import problem_headers
from core.errors import DomainError, Unavailable
from core.tenancy.model import Caller

REFUSED = -32010
"""The JSON-RPC code of a refusal, from the range that MCP leaves to implementations."""

_ADMITTED = "admitted"


class Gate:
    """An ASGI application that hands on what it admits."""

    def __init__(self, inner: ASGIApp, scope_of: Callable[[str], str | None]) -> None:
        """Take what is behind the gate, and which scope a tool needs (None where there is no such tool)."""
        self._inner = inner
        self._scope_of = scope_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            body = await self._admit(request)
        except ClientDisconnect:
            return
        except DomainError as error:
            await _refusal(request, error)(scope, receive, send)
            return
        await self._inner(scope, _replaying(body, receive), send)

    async def _admit(self, request: Request) -> bytes:
        """Return the body of a request that may pass, after noting its caller.

        Raises:
            DomainError: Unauthorized, MissingRequiredScope, PayloadTooLarge or Unavailable.

        """
        authenticator = request.app.state.runtime.authenticator
        try:
            admitted: Caller | Unavailable = await authenticator.authenticate(request.headers.get("authorization"))
        except Unavailable as error:
            admitted = error
        body = await read_body(request)
        tool = _called_tool(body)
        if isinstance(admitted, Unavailable):
            # A call is answered by its own result, which a model reads; for anything else there is only the status.
            if tool is None:
                raise admitted
        elif tool is not None and (scope := self._scope_of(tool)) is not None:
            admitted.require(scope)
        request.scope["state"][_ADMITTED] = admitted
        return body


def caller_of(request: Request) -> Caller:
    """Return who sent an admitted request; raises Unavailable where nobody can tell."""
    admitted: Caller | Unavailable = request.scope["state"][_ADMITTED]
    if isinstance(admitted, Unavailable):
        raise admitted
    return admitted


def _called_tool(body: bytes) -> str | None:
    """Return the name of the tool that a message calls, by its body: headers only repeat it."""
    try:
        message = from_json(body)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else None


def _refusal(request: Request, error: DomainError) -> Response:
    problem = error.problem(request_id=request.scope["state"]["request_id"], instance=request.url.path)
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": REFUSED, "message": error.detail, "data": problem},
    }
    return Response(orjson.dumps(message), error.status, problem_headers(problem), "application/json")


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once more, and then whatever else the client does."""
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay
