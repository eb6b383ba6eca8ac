"""The way between an MCP host on standard input and output and Baton's streamable HTTP endpoint.

Messages pass as they are, whatever their protocol version: those up to 2025-11-25, which begin with `initialize`,
and those of 2026-07-28, where each request says its version for itself. Every request gets an answer; where
Baton does not give one, the bridge says why.
"""

import asyncio
import json
from collections.abc import Callable

import httpx2

from cli.refusals import Refusal, cut_off, out_of_reach, refusal_of
from cli.rpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
    SERVER_ERROR,
    Message,
    as_line,
    as_message,
    error_line,
    headers_for,
    is_answer,
    is_request,
    negotiated_version,
)
from cli.stack import is_here

_HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
# The endpoint sends a sign of life every 15 s while it works on a request.
_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=60.0, pool=None)
_PAUSES_BETWEEN_CONNECTS = (0.0, 0.2, 0.8)
_TO_FINISH_SECONDS = 10.0


class Bridge:
    """Sends each of a host's messages at once, and hands on what comes back."""

    def __init__(self, url: str, token: str, to_host: Callable[[bytes], None]) -> None:
        """Take the API's URL, the token to speak with, and what writes a line to the host."""
        self._url = url
        self._to_host = to_host
        self._version: str | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._client = httpx2.AsyncClient(
            headers={**_HEADERS, "authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            limits=httpx2.Limits(max_connections=None),
            trust_env=not is_here(url),
        )

    def take(self, line: bytes) -> None:
        """Take a line of the host and return at once; what comes of it follows."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._to_host(error_line(None, PARSE_ERROR, "This line is not JSON."))
            return
        if not isinstance(message, dict):
            self._to_host(error_line(None, INVALID_REQUEST, "Send one JSON-RPC message a line, an object."))
        elif message.get("method") == "notifications/cancelled":
            self._cancel(message)
        else:
            self._start(message, line)

    async def finish(self) -> None:
        """Give the calls that are under way ten seconds, then let go."""
        if self._calls:
            await asyncio.wait(list(self._calls.values()), timeout=_TO_FINISH_SECONDS)
        await self._client.aclose()

    def _start(self, message: Message, line: bytes) -> None:
        call = asyncio.create_task(self._carry(message, line))
        key = _key(message["id"]) if is_request(message) else f"no id {id(call)}"
        self._calls[key] = call

        def forget(_call: "asyncio.Task[None]") -> None:
            if self._calls.get(key) is call:
                del self._calls[key]

        call.add_done_callback(forget)

    def _cancel(self, message: Message) -> None:
        """End a call by closing its connection: the endpoint keeps no session in which this message could find it."""
        params = message.get("params")
        call = self._calls.get(_key(params.get("requestId"))) if isinstance(params, dict) else None
        if call is not None:
            call.cancel()

    async def _carry(self, message: Message, line: bytes) -> None:
        refusal = await self._send(message, line)
        if refusal is not None and is_request(message):
            data = {"code": refusal.code, "retryable": refusal.retryable}
            self._to_host(error_line(message["id"], SERVER_ERROR, refusal.text, data))

    async def _send(self, message: Message, line: bytes) -> Refusal | None:
        """Send a message and hand on what comes back; return why where that was not an answer."""
        headers = headers_for(message, self._version)
        for pause in _PAUSES_BETWEEN_CONNECTS:
            await asyncio.sleep(pause)
            try:
                async with self._client.stream("POST", f"{self._url}/mcp", content=line, headers=headers) as answer:
                    return await self._hand_on(message, answer)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # Nothing was sent, so that trying again cannot do anything twice.
                continue
            except httpx2.HTTPError as error:
                return cut_off(self._url, error)
        return out_of_reach(self._url)

    async def _hand_on(self, message: Message, answer: httpx2.Response) -> Refusal | None:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream" and answer.is_success:
            async for event in httpx2.EventSource(answer, max_event_size=None):
                part = as_message(event.data)
                if part is not None and self._pass(message, part):
                    return None
            return cut_off(self._url)
        body = await answer.aread()
        part = as_message(body) if kind == "application/json" else None
        if part is not None and is_answer(part):
            self._pass(message, part)
            return None
        return refusal_of(answer, self._url)

    def _pass(self, request: Message, part: Message) -> bool:
        """Hand one message of the answer to the host; return whether it is the last."""
        if is_answer(part):
            # The endpoint says null where it refused a request before it knew its id.
            part["id"] = request.get("id")
            self._version = negotiated_version(request, part) or self._version
        self._to_host(as_line(part))
        return is_answer(part)


def _key(request_id: object) -> str:
    """Return what tells ids apart: 1 and "1" are two."""
    return json.dumps(request_id)
