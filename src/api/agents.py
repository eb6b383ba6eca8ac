"""The MCP front end: streamable HTTP at /mcp, stateless, for protocol 2024-11-05 to 2026-07-28."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any

import orjson
import structlog
from fastapi import Request
from mcp import MCPError, types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.calls import PATH, Call
from api.gate import Gate, caller_of
from api.tools import TOOLS, Tool
from api.views import View
from core.errors import DomainError, InternalError
from core.settings import Settings

log = structlog.get_logger(__name__)

_INSTRUCTIONS = """\
Baton keeps the follow-up tasks of a CRM workspace. A write is queued, executed exactly once and recorded in the
audit trail. It answers with the whole task and request_status succeeded, or, where the execution takes longer, with
request_status queued: then it is accepted and will be executed, so look with get_request instead of sending it again.
Give every write an idempotency_key of your own; repeating the call with the same key is always safe."""
_TOOLS_LIST_TTL_MS = 300_000

_Context = ServerRequestContext[dict[str, Any], Request]


class Agents:
    """The endpoint behind its gate: `route` belongs to the app, and `run` around the time in which it serves."""

    def __init__(self, settings: Settings) -> None:
        """Take the names by which it may be called, and how large a message may be."""
        self._most_bytes = settings.max_body_bytes
        self._security = _transport_security(settings)
        self._server = _make_server()
        self._manager: StreamableHTTPSessionManager | None = None
        # A route, for a mount answers /mcp with a redirect; POST only, for a GET would be a stream without an end.
        self.route = Route(PATH, Gate(self._serve, _scope_of, self._security), methods=["POST"])

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve calls until the end of the context; may be entered again after that."""
        self._manager = StreamableHTTPSessionManager(
            self._server,
            stateless=True,
            json_response=False,  # progress and cancelling need a stream
            security_settings=self._security,
            max_request_body_size=self._most_bytes,
        )
        async with self._manager.run():
            yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            raise RuntimeError("the endpoint does not run")
        await self._manager.handle_request(scope, receive, send)


def _scope_of(name: str) -> str | None:
    tool = TOOLS.get(name)
    return tool.scope if tool else None


def _make_server() -> Server[dict[str, Any]]:
    return Server(
        "baton",
        title="Baton",
        version=version("baton"),
        instructions=_INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        get_tool_input_schema=_input_schema_of,
        cache_hints={"tools/list": CacheHint(ttl_ms=_TOOLS_LIST_TTL_MS, scope="public")},
    )


def _input_schema_of(name: str) -> dict[str, Any] | None:
    tool = TOOLS.get(name)
    return tool.definition.input_schema if tool else None


async def _list_tools(_context: _Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    """Return every tool, also those that the token may not call: a client can ask for what it lacks."""
    return types.ListToolsResult(tools=[tool.definition for tool in TOOLS.values()])


async def _call_tool(context: _Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Return what a tool answers, or why it does not; raises MCPError for a tool that there is not."""
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    request = context.request
    if request is None:
        raise RuntimeError("a call without an HTTP request")
    request_id = request.scope["state"]["request_id"]
    try:
        return _answer(await _run(tool, request_id, context, request, params.arguments or {}))
    except DomainError as error:
        return _refusal(error, request_id)
    except Exception:
        log.exception("tool_crashed", tool=params.name)
        return _refusal(InternalError("The call could not be answered."), request_id)


async def _run(tool: Tool, request_id: str, context: _Context, request: Request, arguments: dict[str, Any]) -> View:
    caller = caller_of(request)
    caller.require(tool.scope)
    call = Call(request_id, request.app.state.runtime, caller, context.session.report_progress)
    return await tool.run(call, arguments)


def _answer(view: View) -> types.CallToolResult:
    text = view.model_dump_json()
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=orjson.loads(text))


def _refusal(error: DomainError, request_id: str) -> types.CallToolResult:
    """Return a result that is an error; not as structured content, which clients check against the output schema."""
    problem = error.problem(request_id=request_id, instance=PATH)
    return types.CallToolResult(content=[types.TextContent(text=orjson.dumps(problem).decode())], is_error=True)


def _transport_security(settings: Settings) -> TransportSecuritySettings:
    """Return what protects from DNS rebinding: the names by which this process may be called, on any port."""
    names = ["127.0.0.1", "localhost", "[::1]"]
    if not _is_any_address(settings.host):
        names.append(f"[{settings.host}]" if ":" in settings.host else settings.host)
    if settings.public_url is not None and settings.public_url.host is not None:
        names.append(settings.public_url.host)
    hosts = [form for name in names for form in (name, f"{name}:*")]
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def _is_any_address(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
