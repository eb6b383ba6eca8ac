"""The body of a request: as it arrives, or whole; bounded in size and in silence, and never in a coding."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from api.protocol import RequestTimedOut
from core.errors import PayloadTooLarge, UnsupportedMediaType

_SILENCE_SECONDS = 60.0


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises:
        ClientDisconnect: it ended early.
        RequestTimedOut: nothing of it came for a minute.
        UnsupportedMediaType: it is compressed.

    """
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType(f"Send the body as it is: Content-Encoding {coding} is not understood.")
    more = True
    try:
        while more:
            async with asyncio.timeout(_SILENCE_SECONDS):
                message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            yield message.get("body", b"")
            more = message.get("more_body", False)
    except TimeoutError as error:
        raise RequestTimedOut(f"Nothing of the body came for {_SILENCE_SECONDS:g} s.") from error


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body.

    Raises:
        PayloadTooLarge: it has more bytes than the limit; no more than that was read.
        ClientDisconnect, RequestTimedOut, UnsupportedMediaType: as `pieces_of`.

    """
    message = f"A request body may have {limit:,} bytes at most."
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise PayloadTooLarge(message)
    body = bytearray()
    async for piece in pieces_of(request):
        body += piece
        if len(body) > limit:
            raise PayloadTooLarge(message)
    return bytes(body)
