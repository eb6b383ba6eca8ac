"""Those who wait cost little: no connection to Postgres while they do, and nothing at all once they hang up."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.protocol import Protocol
from core.settings import Settings
from core.waiters import Waiters
from tests.api.asking import WAIT, Api, Json
from tests.api.serving import running
from tests.api.speaking import ERAS, message
from tests.concurrency import wait_until

# Nobody executes anything here: every request stays queued.
pytestmark = pytest.mark.usefixtures("lanes")


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings.model_copy(update={"read_connections": 1, "mcp_wait": 30}))


@pytest.fixture
def api(app: FastAPI, token: str) -> Iterator[Api]:
    with running(app, http=Protocol) as url, httpx.Client(base_url=url, timeout=60) as http:
        yield Api(http, token)


def _waiting(app: FastAPI) -> int:
    waiters: Waiters = app.state.runtime.waiters
    return waiters._expected


@contextmanager
def _asked(api: Api, line: str, body: Json, *headers: str) -> Iterator[None]:
    """Ask, wait for no answer, and hang up at the end of the block."""
    content = json.dumps(body)
    head = [f"{line} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {api.token}", *headers]
    head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    url = api.http.base_url
    with socket.create_connection((url.host, url.port or 80), 60) as connection:
        connection.sendall("\r\n".join([*head, "", content]).encode())
        yield


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /v1/tasks", {"title": "Call Jane"}),
        ("POST /v1/tasks/batch", {"commands": [{"command": "task.create", "title": "Call Jane"}]}),
        ("GET /v1/requests/{}", {}),
        ("GET /v1/tasks?after_request={}", {}),
    ],
)
def test_a_client_that_hangs_up_waits_no_more(app: FastAPI, api: Api, line: str, body: Json) -> None:
    queued = api.submit()["request_id"]

    with _asked(api, line.format(queued), body, "Prefer: wait=30"):
        wait_until(lambda: _waiting(app) == 1)
    wait_until(lambda: _waiting(app) == 0)

    assert api.get("/v1/tasks").status_code == 200


def _call(version: str) -> Json:
    prefix = "io.modelcontextprotocol"
    meta = {f"{prefix}/protocolVersion": version, f"{prefix}/clientCapabilities": {}}
    return message("tools/call", name="create_task", arguments={"title": "Call Jane"}, _meta=meta)


@pytest.mark.parametrize("version", ERAS.values())
def test_an_agent_that_hangs_up_waits_no_more(app: FastAPI, api: Api, version: str) -> None:
    accept = "Accept: application/json, text/event-stream"
    names = [f"MCP-Protocol-Version: {version}", "MCP-Method: tools/call", "MCP-Name: create_task"]

    with _asked(api, "POST /mcp", _call(version), accept, *names):
        wait_until(lambda: _waiting(app) == 1)
    wait_until(lambda: _waiting(app) == 0)


def test_those_who_wait_hold_no_connection(app: FastAPI, api: Api) -> None:
    with ThreadPoolExecutor(40) as threads:
        queued = api.submit()["request_id"]
        waiting = [threads.submit(api.get, f"/v1/requests/{queued}", headers=WAIT) for _ in range(20)]
        waiting += [threads.submit(api.post, "/v1/tasks", {"title": "Call Jane"}, headers=WAIT) for _ in range(20)]
        wait_until(lambda: _waiting(app) == 40)

        for _ in range(20):
            assert api.get("/v1/tasks").status_code == 200
            assert api.get(f"/v1/requests/{queued}").json()["request"]["status"] == "queued"
        assert not any(answer.done() for answer in waiting)
        app.state.runtime.waiters.let_go()

    assert {answer.result().status_code for answer in waiting} == {200, 202}
