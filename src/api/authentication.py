"""Who is calling: bearer tokens (RFC 6750), looked up in Postgres and remembered for seconds."""

import asyncio
import re
import time
from datetime import UTC, datetime

from core.errors import NoToken, Unauthorized
from core.reader import Reader
from core.tenancy.model import Caller
from core.tenancy.queries import get_caller, secret_hash

_MOST_REMEMBERED = 10_000
_TOKEN = re.compile(r"[\w.~+/-]+=*", re.ASCII)


class Authenticator:
    """Turns an Authorization header into a caller."""

    def __init__(self, reader: Reader, remember_seconds: float) -> None:
        """Take how long a look-up is reused, which bounds how late a revocation takes effect."""
        self._reader = reader
        self._remember_seconds = remember_seconds
        self._remembered: dict[bytes, tuple[float, Caller]] = {}
        self._pending: dict[bytes, asyncio.Task[Caller]] = {}

    async def authenticate(self, authorization: str) -> Caller:
        """Return who sent the header, which is empty where none was sent.

        Raises:
            Unauthorized: there is no token (NoToken), or it is malformed, unknown, revoked or expired.
            Unavailable: the token cannot be looked up.

        """
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise NoToken("Send a token: Authorization: Bearer baton_...")
        secret = rest.strip()
        if not _TOKEN.fullmatch(secret):
            raise Unauthorized("There must be one Authorization header, of the form: Bearer baton_...")
        key = secret_hash(secret)  # so that no secret stays in memory, nor anything as long as a caller likes
        caller = self._recall(key) or await self._look_up(key, secret)
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthorized("The token has expired.")
        return caller

    def _recall(self, key: bytes) -> Caller | None:
        known = self._remembered.get(key)
        return known[1] if known is not None and known[0] > time.monotonic() else None

    async def _look_up(self, key: bytes, secret: str) -> Caller:
        """Look up once for all calls that come with the same token meanwhile, whichever of them hangs up."""
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = asyncio.create_task(self._ask(key, secret))
            pending.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(pending)

    def _forget(self, key: bytes, done: asyncio.Task[Caller]) -> None:
        del self._pending[key]
        if not done.cancelled():
            done.exception()  # or asyncio would report it where everybody has hung up

    async def _ask(self, key: bytes, secret: str) -> Caller:
        self._remembered.pop(key, None)
        until = time.monotonic() + self._remember_seconds  # from now on, for the answer may be as old as the question
        caller = await self._reader.run(lambda connection: get_caller(connection, secret))
        if caller is None:  # which is not remembered: whoever guesses takes no place from those who are known
            raise Unauthorized("The token is unknown, expired or revoked.")
        if len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]  # the oldest
        self._remembered[key] = (until, caller)
        return caller
