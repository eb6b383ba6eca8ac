"""The gate before MCP: nothing passes without a token, without the scope of the tool it calls, or beyond the limits.

A refusal is an HTTP status with its challenge (RFC 6750) and, as the body, a JSON-RPC error whose data is the problem
document: the one answer that clients of every kind show to whoever has to mend it.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request, Response
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import caller_from
from api.bodies import read_body
from api.inputs import refuse_repeated
from api.problems import headers_of, path_of
from core.errors import DomainError, FieldError, Misdirected, Unavailable, ValidationFailed
from core.tenancy.model import Caller

REFUSED = -32010
"""The JSON-RPC code of a refusal, from the range that MCP leaves to implementations."""

Json = dict[str, Any]

_ADMITTED = "admitted"
_CALL = "tools/call"
_LARGEST_ID = 2**53  # as far as JSON numbers are the same to everybody


class Gate:
    """An ASGI application that hands on what it admits."""

    def __init__(
        self, inner: ASGIApp, scope_of: Callable[[str], str | None], security: TransportSecuritySettings
    ) -> None:
        """Take what is behind the gate, which scope a tool needs (None if there is no such tool), and allowed hosts."""
        self._inner = inner
        self._scope_of = scope_of
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        message: Json = {}
        try:
            await self._check_host(request)
            body = await read_body(request, request.app.state.runtime.settings.max_body_bytes)
            message = _message_of(body)
            scope["state"][_ADMITTED] = await self._admit(request, body, message)
        except ClientDisconnect:
            return
        except DomainError as error:
            await _refusal(request, message, error)(scope, receive, send)
            return
        await self._inner(scope, _replaying(body, receive), send)

    async def _check_host(self, request: Request) -> None:
        """Raise Misdirected for a foreign Host; what else a web page could send by DNS rebinding is refused inside."""
        refused = await self._security.validate_request(request)
        if refused is not None and refused.status_code == Misdirected.status:
            host = request.headers.get("host", "")
            raise Misdirected(f"This service is not known as {host!r}. Name its address in BATON_PUBLIC_URL.")

    async def _admit(self, request: Request, body: bytes, message: Json) -> Caller | DomainError:
        """Return who sent a message that may pass, or what its call is to be answered with.

        Raises:
            DomainError: Unauthorized or MissingRequiredScope; for what is no call, Unavailable or ValidationFailed too.

        """
        tool = _called_tool(message)
        try:
            caller = await caller_from(request)
            scope = None if tool is None else self._scope_of(tool)
            if scope is not None:
                caller.require(scope)
            if message:
                refuse_repeated(body, message)
            _refuse_nameless(message)
        except (Unavailable, ValidationFailed) as error:
            # A call is answered by its own result, which a model reads; for anything else there is only the status.
            if tool is None or not _has_id(message):
                raise
            return error
        return caller


def caller_of(request: Request) -> Caller:
    """Return who sent an admitted request; raises what it is to be answered with instead."""
    admitted: Caller | DomainError = request.scope["state"][_ADMITTED]
    if isinstance(admitted, DomainError):
        raise admitted
    return admitted


def _message_of(body: bytes) -> Json:
    """Return the members of a message, none where it is no object; what is wrong with it is said behind the gate."""
    try:
        message = from_json(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _called_tool(message: Json) -> str | None:
    """Return the name of the tool that a message calls, by its body: headers only repeat it."""
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) and message.get("method") == _CALL else None
    return name if isinstance(name, str) else None


def _has_id(message: Json) -> bool:
    return type(message.get("id")) in {str, int}


def _refuse_nameless(message: Json) -> None:
    """Refuse a request whose id is none: behind the gate it would be a notification, and vanish with 202."""
    asks = message.get("method") == _CALL or {"id", "method"} <= message.keys()
    if asks and not _has_id(message):
        raise ValidationFailed([FieldError("id", "Send a string or an integer")])


def _refusal(request: Request, message: Json, error: DomainError) -> Response:
    problem = error.problem(request_id=request.scope["state"]["request_id"], instance=path_of(request.scope))
    refused = {"code": REFUSED, "message": error.detail, "data": problem}
    document = {"jsonrpc": "2.0", "id": _id_of(message), "error": refused}
    return Response(orjson.dumps(document), error.status, headers_of(error), "application/json")


def _id_of(message: Json) -> str | int | None:
    id_ = message.get("id") if _has_id(message) else None
    return None if isinstance(id_, int) and abs(id_) > _LARGEST_ID else id_


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once more, and then whatever else the client does."""
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay
