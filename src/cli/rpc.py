"""JSON-RPC messages of MCP, as far as a bridge has to understand them."""

import base64
import json
import re
from typing import Any

Message = dict[str, Any]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
SERVER_ERROR = -32000
"""The JSON-RPC code for what the server, or the way to it, cannot do now."""

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
# MCP 2026-07-28, Streamable HTTP, "Standard Request Headers": which parameter Mcp-Name repeats.
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")
_ENCODED = re.compile(r"=\?base64\?.*\?=")


def is_request(message: Message) -> bool:
    """Tell whether an answer is owed."""
    return "method" in message and "id" in message


def is_answer(message: Message) -> bool:
    """Tell whether this is a result or an error, and not a notification."""
    return "result" in message or "error" in message


def as_message(text: str | bytes) -> Message | None:
    """Return a JSON-RPC message; None where the text is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None


def as_line(message: Message) -> bytes:
    """Return a message on a line of its own, as the stdio transport wants it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def error_line(request_id: object, code: int, text: str, data: object = None) -> bytes:
    """Return an error as a line."""
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    return as_line({"jsonrpc": "2.0", "id": request_id, "error": error})


def negotiated_version(request: Message, answer: Message) -> str | None:
    """Return the protocol version that the answer to `initialize` settles; None for any other message."""
    result = answer.get("result")
    if request.get("method") != "initialize" or not isinstance(result, dict):
        return None
    version = result.get("protocolVersion")
    return version if isinstance(version, str) else None


def headers_for(message: Message, negotiated: str | None) -> dict[str, str]:
    """Return the headers that repeat what a message says of itself.

    From 2026-07-28 on these are its version, method and name; before, the version that `initialize` settled.
    The headers for single arguments (`x-mcp-header`) are left out: no tool of Baton's asks for them.
    """
    method, params = message.get("method"), message.get("params")
    version = _own_version(params)
    if version is None:
        return {"mcp-protocol-version": negotiated} if negotiated and method != "initialize" else {}
    headers = {"mcp-protocol-version": _header_value(version), "mcp-method": _header_value(str(method))}
    name = params.get(_NAMED_BY.get(str(method), "")) if isinstance(params, dict) else None
    return headers | ({"mcp-name": _header_value(name)} if isinstance(name, str) else {})


def _own_version(params: object) -> str | None:
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def _header_value(value: str) -> str:
    """Write a value so that it survives HTTP: as it is, or else as `=?base64?...?=`."""
    if _PLAIN.fullmatch(value) and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode(errors='replace')).decode()}?="
