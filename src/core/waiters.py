"""Waking those who wait for a request to finish.

A process that waits registers each request id in Redis under the name of its own channel; whoever finishes requests
looks up who waits and tells these processes alone. Redis may be away at any point: then the database is asked, at
intervals, by the one who waits.
"""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import orjson
import redis
import structlog
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.settings import Settings

log = structlog.get_logger(__name__)

_REGISTERED_SECONDS = 35
_MOST_CONNECTIONS = 8
_RECONNECT_SECONDS = 1.0
# A silence is answered with a ping; with the next one, the ping was not answered either.
_SILENCE_SECONDS, _MOST_SILENCES = 1.0, 2
# How often the one who waits asks the database: rarely while wake-ups can be expected, else soon.
_POLL_SECONDS, _POLL_SECONDS_BLIND = 1.0, 0.1
# All together ask no more often than this, however many they are: reads come first.
_MOST_POLLS_PER_SECOND = 500
_NO_RETRY = Retry(NoBackoff(), 0)

T = TypeVar("T")


def _key(request_id: str) -> str:
    return f"baton:waiter:{request_id}"


def _options(timeout: float) -> dict[str, Any]:
    return {"socket_timeout": timeout, "socket_connect_timeout": 0.3, "socket_keepalive": True}


class Waker:
    """Tells the processes that wait for requests that these are finished."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a connection; it is made when first used."""
        self._redis = redis.Redis.from_url(str(settings.redis_url), retry=_NO_RETRY, **_options(timeout=0.5))

    def wake(self, request_ids: list[str]) -> None:
        """Wake whoever waits for the requests; never raises, since those who wait also ask the database."""
        if not request_ids:
            return
        try:
            channels = self._redis.mget([_key(request_id) for request_id in request_ids])
            told: dict[bytes | str, list[str]] = defaultdict(list)
            for request_id, channel in zip(request_ids, channels, strict=True):
                if channel is not None:
                    told[channel].append(request_id)
            for channel, finished in told.items():
                self._redis.publish(channel, orjson.dumps(finished))
        except redis.RedisError as error:
            log.warning("wake_failed", error=repr(error))


class Waiters:
    """Those of this front-end process who wait for a request to finish."""

    def __init__(self, settings: Settings) -> None:
        """Take how many may wait at a time; `start` begins to listen."""
        self._most = settings.max_waiters
        self._channel = f"baton:finished:{secrets.token_hex(8)}"
        self._redis = AsyncRedis.from_pool(
            BlockingConnectionPool.from_url(
                str(settings.redis_url),
                max_connections=_MOST_CONNECTIONS,
                timeout=1.0,  # longest a registration waits for one of them
                retry=AsyncRetry(NoBackoff(), 0),
                **_options(timeout=2.0),
            )
        )
        self._events: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._expected = 0
        self._stopping = False
        self.listening = False
        self._listener: asyncio.Task[None] | None = None
        self._registrations: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._listen_for_ever(), name="waiters")

    async def stop(self) -> None:
        """End everybody's wait and stop listening."""
        self.let_go()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, *self._registrations, return_exceptions=True)
        await self._redis.aclose()

    def let_go(self) -> None:
        """End everybody's wait, and let nobody wait from now on."""
        self._stopping = True
        for events in self._events.values():
            for event in events:
                event.set()

    @contextlib.contextmanager
    def expect(self, *request_ids: str) -> Iterator[asyncio.Event | None]:
        """Register interest in requests before they are submitted or looked up; None where too many wait already.

        A wake-up that is missed all the same, since Valkey may be slow or away, costs the waiter a second.
        """
        if self._expected >= self._most:
            yield None
            return
        event = asyncio.Event()
        for request_id in request_ids:
            self._events[request_id].add(event)
        self._expected += 1
        if self.listening:
            registration = asyncio.create_task(self._register(*request_ids))
            self._registrations.add(registration)
            registration.add_done_callback(self._registrations.discard)
        try:
            yield event
        finally:
            self._expected -= 1
            for request_id in request_ids:
                self._events[request_id].discard(event)
                if not self._events[request_id]:
                    del self._events[request_id]

    async def wait(
        self, finished: asyncio.Event | None, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> T | None:
        """Return what `look` finds in the database, as soon as it finds something; None after `seconds`.

        None at once for one who was not admitted.
        """
        if finished is None:
            return None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), min(self._poll_seconds, left))
            finished.clear()
            if (found := await look()) is not None:
                return found
        return None

    @property
    def _poll_seconds(self) -> float:
        soon = _POLL_SECONDS if self.listening else _POLL_SECONDS_BLIND
        return max(soon, self._expected / _MOST_POLLS_PER_SECOND)

    async def _register(self, *request_ids: str) -> None:
        with contextlib.suppress(redis.RedisError, OSError):
            pipeline = self._redis.pipeline(transaction=False)
            for request_id in request_ids:
                pipeline.set(_key(request_id), self._channel, ex=_REGISTERED_SECONDS)
            await pipeline.execute()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 (whatever the client makes of a broken broker, listening goes on)
                log.warning("waiters_deaf", error=repr(error))
            finally:
                self.listening = False
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        """Listen for as long as Valkey gives signs of life.

        Raises:
            redis.RedisError: the connection broke.
            TimeoutError: Valkey keeps it, and says nothing more.

        """
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            silences = 0
            while silences < _MOST_SILENCES:
                message = await subscription.get_message(timeout=_SILENCE_SECONDS)
                if message is None:
                    silences += 1
                    await subscription.ping()
                    continue
                silences, self.listening = 0, True
                if message["type"] == "message":
                    self._wake(orjson.loads(message["data"]))
        raise TimeoutError

    def _wake(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            for event in self._events.get(request_id, ()):
                event.set()
