"""What surrounds every exchange: its id, its log context, and an answer even when a route crashes."""

import re
from http import HTTPMethod

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import crashed, path_of
from core.ids import new_id

log = structlog.get_logger(__name__)

_CORRELATION = re.compile(r"[\x21-\x7e]{1,128}")


class ExchangeMiddleware:
    """Gives each HTTP exchange a request id and answers X-Request-ID: the client's own, else that id."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        sent = Headers(scope=scope).get("x-request-id", "")
        correlation = sent if _CORRELATION.fullmatch(sent) else request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-ID"] = correlation
            await send(message)

        # Never unbound: the server runs each exchange in a context of its own.
        structlog.contextvars.bind_contextvars(request_id=request_id, correlation_id=correlation)
        try:
            await self._app(_as_get(scope), receive, send_with_id)
        except ClientDisconnect:
            log.info("client_hung_up", path=path_of(scope))
        except Exception as error:
            if started:
                raise
            await crashed(request_id, path_of(scope), error)(scope, receive, send_with_id)


def _as_get(scope: Scope) -> Scope:
    """Return a HEAD as the GET whose headers it asks for (RFC 9110, section 9.3.2); the server leaves out the body."""
    return {**scope, "method": HTTPMethod.GET.value} if scope["method"] == HTTPMethod.HEAD else scope
