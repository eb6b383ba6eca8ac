"""`baton mcp` as hosts run it: a process that the official client, or a pipe, speaks to."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import ErrorData

from tests.cli.endpoint import EXPIRED, GOOD, NARROW, Endpoint

BATON = str(Path(sys.prefix, "bin", "baton"))
ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint().running() as running:
        yield running


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of a port where nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def bridge(url: str, token: str = GOOD) -> StdioServerParameters:
    return StdioServerParameters(command=BATON, args=["mcp"], env={"BATON_URL": url, "BATON_TOKEN": token})


def pipe(said: bytes, variables: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    return subprocess.run([BATON, "mcp"], input=said, capture_output=True, env=environment | variables, check=False)


def answers(done: subprocess.CompletedProcess[bytes]) -> dict[Any, Any]:
    """Return what came back by id; every byte of it must be a message on a line of its own."""
    lines = done.stdout.splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    messages = [json.loads(line) for line in lines]
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    return {message["id"]: message for message in messages if "id" in message}


def request(number: object, method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


@pytest.mark.parametrize("mode", ERAS)
async def test_the_official_client_lists_and_calls_tools_in_every_era(endpoint: Endpoint, mode: str) -> None:
    arguments = {"title": 'Café ☎ \u2028 "x"\n', "n": 12345678901234567890}
    async with Client(bridge(endpoint.url), mode=mode) as client:
        assert client.protocol_version == ERAS[mode]
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo", "wait"]
        result = await client.call_tool("echo", arguments)
        assert result.structured_content == arguments


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_many_calls_at_once_each_get_their_own_answer(endpoint: Endpoint, mode: str) -> None:
    async with Client(bridge(endpoint.url), mode=mode) as client:
        results = await asyncio.gather(*(client.call_tool("echo", {"n": n}) for n in range(50)))
        assert [result.structured_content for result in results] == [{"n": n} for n in range(50)]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_progress_arrives_and_a_cancelled_call_ends_at_the_endpoint(endpoint: Endpoint, mode: str) -> None:
    endpoint.ended.clear()
    steps: list[float] = []
    arrived = asyncio.Event()

    async def report(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)
        if len(steps) == 3:
            arrived.set()

    async with Client(bridge(endpoint.url), mode=mode) as client:
        call = asyncio.create_task(client.call_tool("wait", progress_callback=report))
        await arrived.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(endpoint.ended.wait, 60)
        assert (await client.call_tool("echo", {"still": "there"})).structured_content == {"still": "there"}
    assert steps == [1, 2, 3]


async def error_of(server: StdioServerParameters, mode: str) -> ErrorData:
    """Return the error that a host gets for its first call; the client hides it in groups when it connects."""
    with pytest.raises((MCPError, ExceptionGroup)) as raised:
        async with Client(server, mode=mode) as client:
            await client.call_tool("echo")
    error: BaseException = raised.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, MCPError)
    return error.error


@pytest.mark.parametrize("mode", ERAS)
async def test_a_refused_token_is_an_error_that_says_what_to_do(endpoint: Endpoint, mode: str) -> None:
    error = await error_of(bridge(endpoint.url, EXPIRED), mode)
    assert "`baton token create`" in error.message
    assert error.data == {"code": "unauthorized", "retryable": False}


@pytest.mark.parametrize("mode", ERAS)
async def test_a_missing_scope_is_named(endpoint: Endpoint, mode: str) -> None:
    error = await error_of(bridge(endpoint.url, NARROW), mode)
    assert "needs a token with the scope tasks:write" in error.message
    assert error.data == {"code": "missing_required_scope", "retryable": False}


@pytest.mark.parametrize("mode", ERAS)
async def test_without_a_running_baton_every_request_is_answered(nobody: str, mode: str) -> None:
    error = await error_of(bridge(nobody), mode)
    assert "cannot be reached" in error.message
    assert error.data == {"code": "unavailable", "retryable": True}


def test_the_process_ends_with_its_input_after_answering_what_was_asked(endpoint: Endpoint) -> None:
    asked = b"".join(request(number, "ping") for number in (1, "1", 2))
    done = pipe(asked, {"BATON_URL": endpoint.url, "BATON_TOKEN": GOOD})
    assert done.returncode == 0
    assert not done.stderr
    assert {number: "result" in answer for number, answer in answers(done).items()} == {1: True, "1": True, 2: True}


def test_lines_that_are_no_messages_are_answered_and_the_rest_goes_on(endpoint: Endpoint) -> None:
    said = b"\nnot json\n[]\n42\n\xff\xfe\n" + b"[" * 100_000 + b"\n" + request(1, "ping")
    done = pipe(said, {"BATON_URL": endpoint.url + "/mcp/", "BATON_TOKEN": GOOD})
    assert answers(done)[1]["result"] == {}
    codes = [json.loads(line).get("error", {}).get("code") for line in done.stdout.splitlines()]
    assert sorted(code for code in codes if code) == [-32700, -32700, -32700, -32600, -32600]


def test_a_notification_is_never_answered_even_where_it_cannot_be_sent(nobody: str) -> None:
    said = b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
    done = pipe(said, {"BATON_URL": nobody, "BATON_TOKEN": GOOD})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_is_no_mcp_endpoint_is_reported_as_such() -> None:
    with Silent(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi") as url:
        done = pipe(request(7, "tools/list"), {"BATON_URL": url, "BATON_TOKEN": GOOD})
    assert "answered HTTP 200, not with MCP" in answers(done)[7]["error"]["message"]


def test_an_answer_that_breaks_off_is_an_error_that_says_how_to_repeat_a_write() -> None:
    with Silent(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: ping\r\n\r\n") as url:
        done = pipe(request(7, "tools/call", name="create_task"), {"BATON_URL": url, "BATON_TOKEN": GOOD})
    assert "same key" in answers(done)[7]["error"]["message"]


def test_without_a_token_nothing_is_served(endpoint: Endpoint) -> None:
    for variables in ({}, {"BATON_TOKEN": " "}, {"BATON_TOKEN": "a\nb"}):
        done = pipe(request(1, "ping"), {"BATON_URL": endpoint.url} | variables)
        assert (done.returncode, done.stdout) == (4, b"")
        assert b"BATON_TOKEN" in done.stderr


class Silent:
    """Answers one connection with these bytes and closes it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._answer)
