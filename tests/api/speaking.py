"""Speaking MCP: with the official client, and in plain HTTP where a client would not say such a thing."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
"""The client's mode for each of the two eras of the protocol, and the version that comes of it."""

Json = dict[str, Any]


@asynccontextmanager
async def client(url: str, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect the official client."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as connected,
    ):
        yield connected


def text_of(result: CallToolResult) -> Json:
    """Return the JSON that a model reads."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    document: Json = json.loads(block.text)
    return document


def answer_of(result: CallToolResult) -> Json:
    """Return the answer of a call that went well, which says the same in both of its forms."""
    assert not result.is_error, result.content
    document = text_of(result)
    assert result.structured_content == document
    return document


def problem_of(result: CallToolResult) -> Json:
    """Return the problem document of a call that was refused, which only its text has."""
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)


async def call(url: str, token: str, tool: str, arguments: Json | None = None, mode: str = "auto") -> CallToolResult:
    """Call one tool, over a connection of its own."""
    async with client(url, token, mode) as connected:
        return await connected.call_tool(tool, arguments or {})


def post(
    url: str, token: str | None, content: bytes | Json, headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    """Post a message, or what claims to be one, as a client of the handshake era does."""
    sent = {"accept": "application/json, text/event-stream", "content-type": "application/json", **(headers or {})}
    if token is not None:
        sent.setdefault("authorization", f"Bearer {token}")
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    raw = {name.encode(): value.encode("latin-1") for name, value in sent.items()}
    return httpx2.post(f"{url}/mcp", content=body, headers=raw, timeout=60)


def message(method: str, **params: object) -> Json:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def tool_call(name: str, arguments: Json | None = None) -> Json:
    """Return a request that calls a tool."""
    return message("tools/call", name=name, arguments=arguments or {})


def reply_of(response: httpx2.Response) -> Json:
    """Return the JSON-RPC message of an answer, whether it came alone or in a stream."""
    if response.headers["content-type"].startswith("text/event-stream"):
        (*_, data) = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    else:
        data = response.text
    reply: Json = json.loads(data)
    return reply


def refusal_of(response: httpx2.Response) -> Json:
    """Return the problem document of a message that did not pass the gate."""
    error: Json = reply_of(response)["error"]
    problem: Json = error["data"]
    assert error["message"] == problem["detail"]
    assert problem["status"] == response.status_code
    assert problem["instance"] == "/mcp"
    return problem
