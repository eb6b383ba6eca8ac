"""A stand-in for Baton's MCP endpoint: a gate that knows three tokens, and two tools behind it."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

GOOD, EXPIRED, NARROW = "good", "expired", "narrow"
_PROBLEMS = {
    EXPIRED: (401, "unauthorized", "The token has expired."),
    NARROW: (403, "missing_required_scope", "This operation needs a token with the scope tasks:write."),
}
_Context = ServerRequestContext[dict[str, object]]


class Endpoint:
    """Serves the endpoint from a thread of this process, and tells what became of a call that waits."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.ended = threading.Event()
        server = Server("stand-in", version="1", on_list_tools=_list_tools, on_call_tool=self._call_tool)
        self._manager = StreamableHTTPSessionManager(server, stateless=True)
        app = Starlette(routes=[Route("/mcp", endpoint=_Gate(self._manager))], lifespan=self._lifespan)
        self._uvicorn = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._uvicorn.run)

    @property
    def url(self) -> str:
        port = self._uvicorn.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @contextmanager
    def running(self) -> Iterator["Endpoint"]:
        self._thread.start()
        while not self._uvicorn.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.01)
        try:
            yield self
        finally:
            self._uvicorn.should_exit = True
            self._thread.join()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._manager.run():
            yield

    async def _call_tool(self, context: _Context, call: types.CallToolRequestParams) -> types.CallToolResult:
        if call.name == "wait":
            await self._wait(context)
        arguments = call.arguments or {}
        text = types.TextContent(type="text", text=json.dumps(arguments))
        return types.CallToolResult(content=[text], structured_content=arguments)

    async def _wait(self, context: _Context) -> None:
        for step in (1, 2, 3):
            await context.session.report_progress(step, 3, f"step {step}")
        self.waiting.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended.set()


class _Gate:
    """Refuses tokens as the real endpoint does; an ASGI application, so that Route does not wrap it."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token == GOOD:
            await self._manager.handle_request(scope, receive, send)
            return
        status, code, detail = _PROBLEMS.get(token, _PROBLEMS[EXPIRED])
        problem = {"status": status, "code": code, "detail": detail}
        await JSONResponse(problem, status, media_type="application/problem+json")(scope, receive, send)


async def _list_tools(_context: _Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    schema = {"type": "object"}
    return types.ListToolsResult(tools=[types.Tool(name=name, input_schema=schema) for name in ("echo", "wait")])
