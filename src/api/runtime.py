"""What a front-end process holds while it serves: its way in, its way to read, who waits, and who calls."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from api.authentication import Authenticator
from core.breaker import Breaker
from core.imports.uploads import Uploads
from core.intake import Intake
from core.publisher import Publisher
from core.queue import LANES, Lane
from core.reader import Reader
from core.settings import Settings
from core.waiters import Waiters


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that routes and tools share.

    `bulk_turn` is held by the one large batch that is worked on: together they would leave little time to others.
    """

    settings: Settings
    reader: Reader
    intakes: Mapping[Lane, Intake]
    waiters: Waiters
    authenticator: Authenticator
    uploads: Uploads
    bulk_turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open every part, and close them in an order in which nothing accepted is lost.

    Neither Postgres nor Valkey needs to be there: what needs them answers 503 until they are.
    """
    breaker, publisher, waiters = Breaker(settings), Publisher(settings.execution_batch), Waiters(settings)
    reader, uploads = Reader(settings, breaker), Uploads(settings, breaker)
    # One for each lane, or an interactive write would wait for the commits of large batches.
    intakes = {lane: Intake(settings, breaker, publisher) for lane in LANES}
    async with AsyncExitStack() as stack:
        await breaker.start()
        stack.push_async_callback(breaker.stop)
        stack.push_async_callback(reader.close)
        publisher.start()
        stack.callback(publisher.stop)
        for intake in intakes.values():
            await intake.start()
            stack.push_async_callback(intake.stop)
        await waiters.start()
        stack.push_async_callback(waiters.stop)
        authenticator = Authenticator(reader, settings.token_cache_seconds)
        yield Runtime(settings, reader, intakes, waiters, authenticator, uploads)
