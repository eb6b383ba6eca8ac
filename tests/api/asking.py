"""Asking over HTTP: with httpx, with curl, and in raw bytes where no client would say such a thing."""

import json
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

Json = dict[str, Any]
Headers = Mapping[str, str] | Sequence[tuple[str, str]]

PATIENCE_SECONDS = 60.0
"""Guards against a hang; no test comes near it."""

WAIT = {"Prefer": "wait=30"}

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


@dataclass(frozen=True, slots=True)
class Api:
    """The API as the holder of one token sees it, or as somebody without one."""

    http: httpx.Client
    token: str | None

    def send(self, method: str, path: str, *, headers: Headers = (), **rest: Any) -> httpx.Response:
        sent = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        if self.token is not None:
            sent.append(("Authorization", f"Bearer {self.token}"))
        raw = [(name.encode(), value.encode()) for name, value in sent]
        url = self.http.base_url.copy_with(raw_path=path.encode("ascii"))  # so that % stays as it stands
        return self.http.request(method, url, headers=raw, **rest)

    def get(self, path: str, *, headers: Headers = (), **query: Any) -> httpx.Response:
        return self.send("GET", path, headers=headers, params=query or None)

    def post(self, path: str, members: object, *, headers: Headers = ()) -> httpx.Response:
        return self.send("POST", path, headers=headers, json=members)

    def patch(self, path: str, members: object, *, headers: Headers = ()) -> httpx.Response:
        return self.send("PATCH", path, headers=headers, json=members)

    def create(self, title: str = "Call Jane", **members: object) -> Json:
        """Create a task and return it as it is after that."""
        response = self.post("/v1/tasks", {"title": title, **members}, headers=WAIT)
        assert response.status_code == 201, response.text
        task: Json = response.json()["task"]
        return task

    def update(self, task_id: str, **members: object) -> Json:
        """Update a task and return it as it is after that."""
        response = self.patch(f"/v1/tasks/{task_id}", members, headers=WAIT)
        assert response.status_code == 200, response.text
        task: Json = response.json()["task"]
        return task

    def submit(self, title: str = "Call Jane", **members: object) -> Json:
        """Submit the creation of a task and return the receipt."""
        return accepted(self.post("/v1/tasks", {"title": title, **members}))

    def submit_update(self, task_id: str, **members: object) -> Json:
        """Submit an update and return the receipt."""
        return accepted(self.patch(f"/v1/tasks/{task_id}", members))

    def finished(self, request_id: str) -> Json:
        """Return a request once it is finished."""
        response = self.get(f"/v1/requests/{request_id}", headers=WAIT)
        assert response.status_code == 200, response.text
        request: Json = response.json()["request"]
        assert request["status"] != "queued", "nothing was executed within 30 s"
        return request


def accepted(response: httpx.Response) -> Json:
    """Return the receipt of a write that was queued."""
    assert response.status_code == 202, response.text
    receipt: Json = response.json()
    return receipt


def problem_of(response: httpx.Response, status: int, code: str) -> Json:
    """Return the problem document of a refusal, which has the form that every refusal has (RFC 9457)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["x-request-id"]
    problem: Json = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"urn:baton:problem:{code}"
    assert problem["request_id"].startswith("req_")
    assert problem["title"]
    assert problem["detail"]
    assert problem["retryable"] == (status in {408, 429, 503})
    assert {"Traceback", "SELECT", "psycopg", "pydantic"}.isdisjoint(problem["detail"].split())
    return problem


def refused_fields(response: httpx.Response) -> set[str]:
    """Return the names of the fields that a refusal finds fault with."""
    errors = problem_of(response, 422, "validation_failed")["field_errors"]
    assert all(error["field"] and error["message"] for error in errors)
    return {error["field"] for error in errors}


def curl(url: str, *options: str) -> httpx.Response:
    """Ask with curl and return what it shows, without what it was told to go on with (100 Continue)."""
    limit = str(int(PATIENCE_SECONDS))
    words = ["curl", "--silent", "--show-error", "--include", "--max-time", limit, *options, url]
    shown = subprocess.run(words, check=True, capture_output=True).stdout
    while shown.startswith(b"HTTP/1.1 100"):
        shown = shown.partition(b"\r\n\r\n")[2]
    return parse(shown)


def curl_json(url: str, token: str, members: object, *options: str) -> httpx.Response:
    """Send JSON with curl as a person types it: without a Content-Type of its own."""
    return curl(url, "--header", f"Authorization: Bearer {token}", "--data", json.dumps(members), *options)


def ask_raw(url: str, path: str, *, method: str = "GET") -> httpx.Response:
    """Ask for a path as it stands: clients resolve dots and mend what is not a path."""
    return parse(speak(url, f"{method} {path} HTTP/1.1\r\nHost: baton\r\nConnection: close\r\n\r\n".encode("latin-1")))


def parse(answer: bytes) -> httpx.Response:
    """Return an answer of raw bytes, whose body is all that follows its head."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


def speak(url: str, sent: bytes, *, then_hang_up: bool = False) -> bytes:
    """Send bytes and return everything until the server closes; those that say "Connection: close" are not kept."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
        connection.sendall(sent)
        if then_hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received
