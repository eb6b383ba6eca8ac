"""The client of every measurement: connections that send a request, read the answer, and send the next.

Written for this one thing, since it shares the machine with what it measures: no pipelining, one request again and
again, answers with a Content-Length. What it costs is part of every figure, and alike for all: `SPENT`.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import cast
from urllib.parse import urlsplit

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_PATIENCE_SECONDS = 60.0


Headers = Mapping[str, str]


class UnexpectedAnswer(Exception):
    """What came back is not what is measured: a refusal, an error, a connection that was closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and the status of the only answer that counts."""

    url: str
    message: bytes
    status: int


@dataclass(frozen=True, slots=True)
class Load:
    """How long it took, and how long each answer took, in seconds."""

    seconds: float
    latencies: list[float]

    @property
    def answers(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    @property
    def median_ms(self) -> float:
        return 1000 * median(self.latencies)

    @property
    def p99_ms(self) -> float:
        return 1000 * sorted(self.latencies)[int(0.99 * self.answers)]


@dataclass(slots=True)
class Spent:
    """What the client itself has cost."""

    cpu_seconds: float = 0.0
    answers: int = 0


SPENT = Spent()


def get(url: str, headers: Headers) -> Request:
    """Return a request that reads."""
    return _request("GET", url, headers, b"", 200)


def post(url: str, headers: Headers, document: object, status: int) -> Request:
    """Return a request that sends JSON."""
    body = json.dumps(document).encode()
    named = {**headers, "content-type": "application/json", "content-length": str(len(body))}
    return _request("POST", url, named, body, status)


def _request(method: str, url: str, headers: Headers, body: bytes, status: int) -> Request:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    named = {"host": parts.netloc, **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return Request(url, "\r\n".join(lines).encode() + _HEAD_END + body, status)


def send(request: Request, *, connections: int, seconds: float, pause: float = 0.0) -> Load:
    """Send a request over each connection, again and again for so many seconds, and wait for the last answers.

    `pause` is the time from an answer to the next request, in seconds.

    Raises:
        UnexpectedAnswer: an answer has another status, or a connection was closed.

    """
    return uvloop.run(_send(request, connections, seconds, pause))


def send_once(request: Request) -> bytes:
    """Send a request once and return the body of its answer; raises UnexpectedAnswer."""

    async def once() -> bytes:
        (only,) = await _connect(request, 1, [])
        await asyncio.wait_for(only.keep_sending(until=0), _PATIENCE_SECONDS)
        return only.body

    return uvloop.run(once())


async def _send(request: Request, connections: int, seconds: float, pause: float) -> Load:
    latencies: list[float] = []
    connected = await _connect(request, connections, latencies, pause)
    began, cpu_began = time.perf_counter(), time.process_time()
    async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
        await asyncio.gather(*(each.keep_sending(until=began + seconds) for each in connected))
    SPENT.cpu_seconds += time.process_time() - cpu_began
    SPENT.answers += len(latencies)
    return Load(time.perf_counter() - began, latencies)


async def _connect(
    request: Request, connections: int, latencies: list[float], pause: float = 0.0
) -> list["_Connection"]:
    host, _, port = urlsplit(request.url).netloc.rpartition(":")
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(request, latencies, pause), host, int(port))
        for _ in range(connections)
    ]
    return [connection for _, connection in made]


class _Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, request: Request, latencies: list[float], pause: float) -> None:
        self.body = b""
        self._request = request
        self._status = f" {request.status} ".encode()
        self._latencies = latencies
        self._pause = pause
        self._received = b""
        self._until = self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is not registered as one
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def keep_sending(self, until: float) -> None:
        """Send until then (time.perf_counter), and close the connection after the last answer."""
        self._until = until
        self._send()
        try:
            await self._done
        finally:
            self._transport.close()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request.message)

    def _send_after_pause(self) -> None:
        if self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._send)
        else:
            self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_HEAD_END)
        if head < 0:
            return
        end = head + len(_HEAD_END) + self._length(head)
        if len(self._received) < end:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._began)
        if self._received.find(self._status, 0, 16) < 0:
            self._fail(self._received[:4_000].decode(errors="replace"))
        elif now < self._until:
            self._received = b""
            self._send_after_pause()
        else:
            self.body = self._received[head + len(_HEAD_END) :]
            self._done.set_result(None)

    def _length(self, head: int) -> int:
        begin = self._received.find(_LENGTH, 0, head)
        if begin < 0:
            self._fail("an answer without a Content-Length")
            return 0
        begin += len(_LENGTH)
        return int(self._received[begin : self._received.index(b"\r\n", begin)])

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was closed: {exc}")

    def _fail(self, reason: str) -> None:
        if not self._done.done():
            self._done.set_exception(UnexpectedAnswer(f"{self._request.url}: {reason}"))
