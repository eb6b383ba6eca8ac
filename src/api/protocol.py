"""HTTP on the wire: `uvicorn --http api.protocol:Protocol`. What is not HTTP, or no end of it, is refused as a problem.

Such requests never reach the application; uvicorn would answer them in plain text, hold headers of any size, and wait
for their end for ever.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.problems import MEDIA_TYPE
from core.errors import DomainError
from core.ids import new_id

LET_GO = "let_go"
"""The name, in the application's state, of what ends the wait of everybody who waits in it."""

_MOST_HEAD_BYTES = 65_536


class MalformedRequest(DomainError):
    """What arrived is not an HTTP/1.1 request (RFC 9112)."""

    code, status, title = "malformed_request", 400, "Not a valid HTTP request"


class HeadersTooLarge(DomainError):
    """The request line and headers are larger than the service accepts (RFC 6585, section 5)."""

    code, status, title = "headers_too_large", 431, "The request's headers are too large"


class RequestTimedOut(DomainError):
    """The request's headers did not arrive in time (RFC 9110, section 15.5.9)."""

    code, status, title, retryable = "request_timeout", 408, "The request did not arrive in time", True


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what comes before a body, and with refusals in the form of every other."""

    head_seconds = 30.0

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _refusal: DomainError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, up to a refusal; whether a head has ended is known where a piece ends."""
        if self._refusal is not None:
            return
        super().data_received(data)
        if not self._in_head:
            self._head_bytes = 0
            return
        self._await_head()
        self._head_bytes += len(data)
        if self._head_bytes > _MOST_HEAD_BYTES and self._refusal is None:
            self._refuse(HeadersTooLarge(f"The request line and headers may have {_MOST_HEAD_BYTES:,} bytes at most."))

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header without the blanks behind its value, which the parser leaves there (RFC 9110, section 5.5).

        What follows a body in chunks is left out: it would stand among the headers, past whatever looked at those.
        """
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Begin the request's body; raises ValueError, which the parser turns into a refusal."""
        if not _is_plain(self.parser.get_http_version(), self.headers):
            raise ValueError("the head can be understood in two ways")
        super().on_headers_complete()
        self._in_head = False
        self._stop_waiting()

    def on_response_complete(self) -> None:
        """Go on to the next request in line, or to the refusal that stands behind all of them."""
        last = not self.pipeline
        super().on_response_complete()
        if last and self._refusal is not None:
            self._hang_up(self._refusal)

    def shutdown(self) -> None:
        """Answer who waits with what is known by now, since the process is about to end."""
        self.app_state[LET_GO]()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser does not take; its message says no more than that."""
        del msg
        self._refuse(
            MalformedRequest("The request is not valid HTTP/1.1: check its request line, headers and framing.")
        )

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]  # None at first
            self._await_head()
        elif not self.transport.is_closing():
            self._refuse(RequestTimedOut(f"The headers of a request must arrive within {self.head_seconds:g} s."))

    def _refuse(self, error: DomainError) -> None:
        """Refuse what arrived, after all that was asked before it: a client tells by the order what an answer is to."""
        self._refusal = error
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not self._in_head and cycle.more_body:  # it is this one's body that is at fault
            if self.pipeline:
                self.pipeline.popleft()
            elif cycle.response_started:
                self.transport.close()
            else:
                self._hang_up(error)
        elif cycle is None or cycle.response_complete:
            self._hang_up(error)

    def _hang_up(self, error: DomainError) -> None:
        if self.transport.is_closing():
            return
        request_id = new_id("req")
        body = orjson.dumps(error.problem(request_id=request_id, instance="/"))
        status = HTTPStatus(error.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _is_plain(version: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Tell whether a head names one host and one way to find the end of the body (RFC 9112, sections 3.2 and 6.1)."""
    hosts = [value for name, value in headers if name == b"host"]
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if version == "1.1":
        return len(hosts) == 1 and codings in ([], [b"chunked"])
    return version == "1.0" and len(hosts) <= 1 and not codings
