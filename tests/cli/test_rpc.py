"""What the bridge says of a message in headers, against what the official library wants to see there."""

import json

from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp.types import JSONRPCRequest

from cli.rpc import as_line, headers_for

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
NAMES = st.text() | st.sampled_from(["create_task", " padded ", "=?base64?Zm9v?=", "Grüße", "a\nb", ""])


@given(st.sampled_from(["tools/call", "prompts/get", "tools/list", "server/discover"]), NAMES)
def test_the_headers_of_a_modern_request_repeat_its_version_method_and_name(method: str, name: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, "name": name}}
    headers = headers_for(message, "2025-11-25")
    assert all(value.isascii() and value.isprintable() and value == value.strip() for value in headers.values())
    route = classify_inbound_request(json.loads(json.dumps(message)), headers=headers)
    assert isinstance(route, InboundModernRoute), route


def test_a_resource_is_named_by_its_address() -> None:
    message = {"method": "resources/read", "params": {"_meta": META, "uri": "baton://tasks/1"}}
    assert headers_for(message, None)["mcp-name"] == "baton://tasks/1"


def test_before_that_only_what_initialize_settled_is_repeated_once_it_is() -> None:
    listing = {"method": "tools/list", "params": {"_meta": {"progressToken": 1}}}
    assert headers_for(listing, None) == {}
    assert headers_for(listing, "2025-06-18") == {"mcp-protocol-version": "2025-06-18"}
    assert headers_for({"method": "initialize"}, "2025-06-18") == {}


@given(st.text())
def test_a_message_is_one_line_whatever_it_contains(text: str) -> None:
    line = as_line({"jsonrpc": "2.0", "id": text, "method": "ping"})
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert JSONRPCRequest.model_validate_json(line).id == text
