"""What does not pass the gate, and what a call is told that cannot be carried out."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import httpx2
import pytest
from mcp import MCPError
from psycopg import Connection
from pydantic import AnyHttpUrl, PostgresDsn

from api import agents
from api.app import create_app
from api.tools import TOOLS
from core.settings import Settings
from core.tenancy.queries import list_tokens, revoke_token, secret_hash
from tests.api.conftest import MakeToken
from tests.api.serving import running, serving
from tests.api.speaking import (
    ERAS,
    Json,
    call,
    client,
    message,
    post,
    problem_of,
    refusal_of,
    reply_of,
    tool_call,
)
from tests.workspaces import Workspace

GOOD: dict[str, Json] = {
    "create_task": {"title": "Call Jane"},
    "create_tasks": {"tasks": [{"title": "Call Jane"}]},
    "update_task": {"task_id": "task_1", "status": "completed"},
    "complete_task": {"task_id": "task_1"},
    "list_tasks": {},
    "get_task": {"task_id": "task_1"},
    "get_request": {"request_id": "req_1"},
    "list_audit_events": {},
}
SCOPES = {
    "create_task": "tasks:write",
    "create_tasks": "tasks:write",
    "update_task": "tasks:write",
    "complete_task": "tasks:write",
    "list_tasks": "tasks:read",
    "get_task": "tasks:read",
    "get_request": "tasks:read",
    "list_audit_events": "audit:read",
}
# Every member with a value that it must not have, the field that is named, and what else the call needs.
WRONG: list[tuple[str, Json, str]] = [
    *[(tool, {"dry_run": True}, "dry_run") for tool in GOOD],
    *[(tool, {name: None}, name) for tool, members in GOOD.items() for name in members],
    *[(tool, {name: 7}, name) for tool, members in GOOD.items() for name in members],
    ("create_task", {"title": " "}, "title"),
    ("create_task", {"title": "a\0b"}, "title"),
    ("create_task", {"title": "x" * 501}, "title"),
    ("create_task", {"description": None}, "description"),
    ("create_task", {"due_at": "null"}, "due_at"),
    ("create_task", {"due_at": "2026-12-04T09:00:00"}, "due_at"),
    ("create_task", {"due_at": 1_796_374_800}, "due_at"),
    ("create_task", {"related_resource_type": "null", "related_resource_id": "con_1"}, "related_resource_type"),
    ("create_task", {"related_resource_type": "contact"}, "related_resource_id"),
    ("create_task", {"idempotency_key": None}, "idempotency_key"),
    ("create_task", {"idempotency_key": "two words"}, "idempotency_key"),
    ("create_task", {"source": "admin"}, "source"),
    ("create_tasks", {"tasks": []}, "tasks"),
    ("create_tasks", {"tasks": [{"title": "Call Jane"}] * 51}, "tasks"),
    ("create_tasks", {"tasks": {"title": "Call Jane"}}, "tasks"),
    ("create_tasks", {"idempotency_key": "k"}, "idempotency_key"),
    ("update_task", {"status": "null"}, "status"),
    ("update_task", {"status": "done"}, "status"),
    ("update_task", {"status": "open", "completed_note": "x"}, "completed_note"),
    ("complete_task", {"status": "completed"}, "status"),
    ("complete_task", {"completed_note": None}, "completed_note"),
    ("list_tasks", {"limit": 0}, "limit"),
    ("list_tasks", {"limit": 101}, "limit"),
    ("list_tasks", {"limit": "25"}, "limit"),
    ("list_tasks", {"limit": True}, "limit"),
    ("list_tasks", {"limit": None}, "limit"),
    ("list_tasks", {"status": None}, "status"),
    ("list_tasks", {"cursor": "AAAA"}, "cursor"),
    ("list_tasks", {"due_after": "tomorrow"}, "due_after"),
    ("list_tasks", {"related_resource_id": "con_1"}, "related_resource_type"),
    ("list_audit_events", {"outcome": "done"}, "outcome"),
    ("list_audit_events", {"limit": 101}, "limit"),
    ("list_audit_events", {"since": "2026-12-04"}, "since"),
]


@pytest.mark.parametrize("mode", ERAS)
async def test_arguments_that_do_not_fit_are_refused_by_name_and_change_nothing(
    url: str, token: str, workspace: Workspace, mode: str
) -> None:
    async with client(url, token, mode) as connected:
        for tool, arguments, field in WRONG:
            problem = problem_of(await connected.call_tool(tool, GOOD[tool] | arguments))
            assert (problem["code"], problem["status"]) == ("validation_failed", 422), (tool, arguments)
            assert [each["field"] for each in problem["field_errors"]] == [field], (tool, arguments)
            assert problem["request_id"].startswith("req_")
    assert workspace.tasks() == []
    assert workspace.events() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ('{"title": "Call Jane", "title": "Call John"}', "title"),
        ('{"title": "Call Jane", "t\\u0069tle": "Call Jane"}', "title"),
        ('{"title": "Call Jane", "nope": {"a": 1, "a": 1}}', "a"),
        ('{"title": "Call Jane"}, "arguments": {"title": "Call John"}', "arguments"),
    ],
)
def test_a_member_that_is_given_twice_is_refused_by_name(
    url: str, token: str, workspace: Workspace, arguments: str, field: str
) -> None:
    before, _, after = json.dumps(tool_call("create_task", {"?": 0})).partition('{"?": 0}')
    result = reply_of(post(url, token, f"{before}{arguments}{after}".encode()))["result"]
    assert result["isError"]
    problem = json.loads(result["content"][0]["text"])
    assert problem["field_errors"] == [{"field": field, "message": "Give it once"}]
    assert workspace.tasks() == []


def test_a_member_that_is_given_twice_is_refused_of_what_is_no_call(url: str, token: str) -> None:
    response = post(url, token, b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "method": "ping"}')
    problem = refusal_of(response)
    assert (response.status_code, problem["code"]) == (422, "validation_failed")
    assert problem["field_errors"][0]["field"] == "method"


async def test_what_is_required_and_missing_is_named(url: str, token: str) -> None:
    async with client(url, token) as connected:
        for tool, members in GOOD.items():
            if members:
                problem = problem_of(await connected.call_tool(tool, {}))
                assert [each["field"] for each in problem["field_errors"]] == [next(iter(members))]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_tool_that_there_is_not_is_an_error_of_the_protocol(url: str, token: str, mode: str) -> None:
    async with client(url, token, mode) as connected:
        with pytest.raises(MCPError, match="Unknown tool: drop_table") as raised:
            await connected.call_tool("drop_table", {})
    assert raised.value.error.code == -32602


@pytest.mark.parametrize("mode", ERAS)
async def test_the_official_client_names_the_scope_that_is_missing(
    url: str, make_token: MakeToken, workspace: Workspace, mode: str
) -> None:
    async with client(url, make_token("tasks:read"), mode) as connected:
        with pytest.raises(MCPError, match="needs a token with the scope tasks:write") as raised:
            await connected.call_tool("create_task", {"title": "Call Jane"})
        assert raised.value.error.data["required_scope"] == "tasks:write"
        assert not (await connected.call_tool("list_tasks", {})).is_error
    assert workspace.tasks() == []


@pytest.mark.parametrize("tool", GOOD)
def test_a_call_without_the_scope_of_its_tool_is_challenged(url: str, make_token: MakeToken, tool: str) -> None:
    scope = SCOPES[tool]
    token = make_token(*{"tasks:read", "tasks:write", "audit:read"} - {scope})
    response = post(url, token, tool_call(tool, GOOD[tool]))
    problem = refusal_of(response)
    assert response.status_code == 403
    challenge = f'Bearer realm="baton", error="insufficient_scope", scope="{scope}"'
    assert response.headers["www-authenticate"] == challenge
    assert (problem["code"], problem["required_scope"]) == ("missing_required_scope", scope)


def test_the_scope_follows_the_body_whatever_the_headers_say(url: str, make_token: MakeToken) -> None:
    headers = {"mcp-method": "tools/call", "mcp-name": "list_tasks"}
    response = post(url, make_token("tasks:read"), tool_call("create_task", {"title": "Call Jane"}), headers)
    assert response.status_code == 403


async def test_the_scope_is_checked_again_inside_the_call(
    settings: Settings, make_token: MakeToken, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_gate(_name: str) -> None:
        return None

    monkeypatch.setattr(agents, "_scope_of", open_gate)
    with serving(settings) as url:
        problem = problem_of(await call(url, make_token("tasks:read"), "create_task", {"title": "Call Jane"}))
    assert (problem["code"], problem["required_scope"]) == ("missing_required_scope", "tasks:write")
    assert workspace.tasks() == []


def test_without_a_valid_token_nothing_is_served(
    url: str, tenant: str, make_token: MakeToken, connection: Connection[Any]
) -> None:
    expired = make_token(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    revoked = make_token()
    for known in list_tokens(connection, tenant):
        revoke_token(connection, known.id)
    asked = (message("initialize"), message("tools/list"), tool_call("list_tasks"), b"{")
    # Who sends no bearer token is told of no error, for there is no token to find fault with (RFC 6750, section 3.1).
    asks, tells = 'Bearer realm="baton"', 'Bearer realm="baton", error="invalid_token"'
    for given, challenge in (
        (None, asks),
        ("Basic dXNlcjpw", asks),
        ("Bearer", tells),
        ("Bearer unknown", tells),
        ("Bearer \xfc", tells),
        (f"Bearer {expired}", tells),
        (f"Bearer {revoked}", tells),
    ):
        headers = {} if given is None else {"authorization": given}
        for response in [post(url, None, each, headers) for each in asked]:
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == challenge
            assert refusal_of(response)["code"] == "unauthorized"


@pytest.mark.parametrize("mode", ERAS)
async def test_the_official_client_says_that_the_token_is_not_valid(url: str, mode: str) -> None:
    with pytest.raises((MCPError, ExceptionGroup)) as raised:
        await call(url, "baton_unknown", "list_tasks", mode=mode)
    error: BaseException = raised.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert "unknown, expired or revoked" in str(error)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_other_methods_than_post_are_not_allowed(url: str, token: str, method: str) -> None:
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    response = httpx2.request(method, f"{url}/mcp", headers=headers)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["code"] == "method_not_allowed"


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(url: str, token: str) -> None:
    large = b" " * 1_048_577

    def chunks() -> Iterator[bytes]:
        yield large

    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    for content in (large, chunks()):
        response = httpx2.post(f"{url}/mcp", content=content, headers=headers)
        assert response.status_code == 413
        assert refusal_of(response)["code"] == "payload_too_large"


def test_a_message_in_a_coding_is_refused(url: str, token: str) -> None:
    response = post(url, token, message("ping"), {"content-encoding": "gzip"})
    assert response.status_code == 415
    assert refusal_of(response)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example:80", "127.0.0.1.attacker.example"])
def test_a_host_by_which_nobody_may_call_is_refused_with_what_to_set(url: str, token: str, host: str) -> None:
    response = post(url, token, message("ping"), {"host": host})
    problem = refusal_of(response)
    assert (response.status_code, problem["code"]) == (421, "misdirected_request")
    assert "BATON_PUBLIC_URL" in problem["detail"]


def test_a_page_of_another_origin_is_refused(url: str, token: str) -> None:
    assert post(url, token, message("ping"), {"origin": "https://attacker.example"}).status_code == 403


@pytest.mark.parametrize("named", [{}, {"id": None}, {"id": 1.5}, {"id": True}, {"id": [1]}, {"id": {}}], ids=repr)
def test_a_call_that_no_answer_could_name_is_refused_and_not_dropped(url: str, token: str, named: Json) -> None:
    nameless = {name: value for name, value in tool_call("create_task", {"title": "x"}).items() if name != "id"}
    response = post(url, token, nameless | named)
    assert response.status_code == 422
    assert refusal_of(response)["field_errors"] == [{"field": "id", "message": "Send a string or an integer"}]
    assert reply_of(response)["id"] is None


def test_what_needs_no_answer_needs_no_id(url: str, token: str) -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert post(url, token, notification).status_code == 202


def test_a_refusal_names_the_request_that_it_answers(url: str, make_token: MakeToken) -> None:
    for named, echoed in ((7, 7), ("a", "a"), (None, None), (10**30, None), ([1], None)):
        for token in ("baton_unknown", make_token("crm:read")):
            response = post(url, token, {**tool_call("list_tasks"), "id": named})
            assert reply_of(response)["id"] == echoed


def test_blanks_after_a_header_are_no_part_of_it(url: str, token: str) -> None:
    prefix = "io.modelcontextprotocol"
    meta = {f"{prefix}/protocolVersion": "2026-07-28", f"{prefix}/clientCapabilities": {}}
    body = json.dumps(message("tools/call", name="list_tasks", arguments={}, _meta=meta))
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "list_tasks  ",
    }
    connection = HTTPConnection(url.removeprefix("http://"))  # sends headers as they are
    with closing(connection):
        connection.request("POST", "/mcp", body, headers)
        assert not json.load(connection.getresponse())["result"]["isError"]


def test_this_machine_may_be_called_by_its_names_and_the_public_one(settings: Settings, token: str) -> None:
    public = AnyHttpUrl("https://baton.example.com/")
    with serving(settings, host="::", public_url=public) as url:
        for header, name in (
            ("host", "localhost:8765"),
            ("host", "127.0.0.1"),
            ("host", "[::1]:1"),
            ("host", "baton.example.com"),
            ("origin", "http://localhost:6274"),
            ("origin", "https://baton.example.com"),
        ):
            assert post(url, token, message("ping"), {header: name}).status_code == 200, name
        assert post(url, token, message("ping"), {"host": "[::]:8765"}).status_code == 421


def test_what_is_no_message_is_a_mistake_of_the_client(url: str, token: str) -> None:
    contents: list[bytes | Json] = [
        *(b"", b"{", b"\xff\xfe", b"[]", b"7", b"null", b"[" * 100_000, b'{"jsonrpc": "2.0"}', b'{"id": 1}'),
        message("tools/call"),
        message("tools/call", name=7),
        message("tools/call", name="list_tasks", arguments=[]),
    ]
    for version in ("2025-11-25", "2026-07-28", "1999-01-01"):
        for content in contents:
            response = post(url, token, content, {"mcp-protocol-version": version})
            assert response.status_code < 500, content
            assert response.status_code >= 400 or "error" in reply_of(response), content


async def test_a_crash_tells_nothing_but_the_request_id(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setitem(TOOLS, "list_tasks", replace(TOOLS["list_tasks"], run=crash))  # type: ignore[arg-type]
    problem = problem_of(await call(url, token, "list_tasks"))
    assert (problem["code"], problem["retryable"]) == ("internal_error", False)
    assert "secret" not in str(problem)


@pytest.mark.parametrize("known", [False, True])
def test_without_postgres_every_call_says_so(settings: Settings, workspace: Workspace, known: bool) -> None:  # noqa: FBT001
    nowhere = PostgresDsn("postgresql://baton:x@127.0.0.1:1/baton")
    app = create_app(settings.model_copy(update={"database_url": nowhere, "database_timeout": 0.5}))
    with running(app) as url:
        if known:  # a token that was looked up a moment ago
            app.state.runtime.authenticator._remembered[secret_hash("t")] = (float("inf"), workspace.person)
        for tool, arguments in GOOD.items():
            result = reply_of(post(url, "t", tool_call(tool, arguments)))["result"]
            assert result["isError"]
            assert '"code":"unavailable"' in result["content"][0]["text"]
            assert '"retryable":true' in result["content"][0]["text"]
        listed = post(url, "t", message("tools/list"))
        assert listed.status_code == (200 if known else 503)
        assert known or (refusal_of(listed)["code"], listed.headers["retry-after"]) == ("unavailable", "2")
