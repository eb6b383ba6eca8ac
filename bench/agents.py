"""The figure of agents: calls of an MCP tool."""

from collections.abc import Iterator
from contextlib import ExitStack

from bench import load
from bench.contenders import MCP_TOOL, NOTHING, TASK, Contender, baton, peer
from bench.figures import Figure, Goal, Plan, compare
from bench.stage import Stage

_VERSION = "2026-07-28"
_CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "create_task",
        "arguments": TASK,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": _VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
_HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": _VERSION,
    "mcp-method": "tools/call",
    "mcp-name": "create_task",
}


def mcp(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Each connection calls the tool `create_task` again and again; what counts is the answers.

    Baton answers after the execution, with the whole task; the plain tool does nothing, and (a) is no MCP at all.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(baton(stage))
        nothing, tool = (stack.enter_context(peer(stage, kind)) for kind in (NOTHING, MCP_TOOL))

        def measure(contender: Contender) -> float:
            request = contender.creation() if contender is nothing else _call(contender)
            with contender.serving(), contender.executing():
                return contender.take(request, connections=plan.connections, seconds=plan.seconds).rate

        samples = compare(plan, [ours, nothing, tool], measure)
    yield Figure("MCP create_task", "calls/s", samples, {nothing.title: Goal(0.35)})


def _call(contender: Contender) -> load.Request:
    return load.post(f"{contender.url}/mcp", {**_HEADERS, **contender.headers}, _CALL, 200)
