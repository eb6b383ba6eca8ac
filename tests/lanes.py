"""What waits in the queue, as a worker would find it."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from redis import Redis

from core.queue import LANES, Lane


@dataclass(frozen=True, slots=True)
class Message:
    """A message for an execution."""

    lane: str
    batch: dict[str, list[str]]
    alone: bool
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of the session's Valkey."""

    redis: "Redis"

    def clear(self) -> None:
        self.redis.delete(*LANES)

    def messages(self, lane: Lane, tenant_id: str) -> list[Message]:
        """Return the messages of a lane that name requests of a tenant, with these alone, oldest first."""
        return [
            Message(message.lane, {tenant_id: message.batch[tenant_id]}, message.alone, message.sent_at)
            for message in self._all(lane)
            if tenant_id in message.batch
        ]

    def named(self, lane: Lane, tenant_id: str) -> list[str]:
        """Return the requests of a tenant that the messages of a lane name, in order."""
        return [id_ for message in self.messages(lane, tenant_id) for id_ in message.batch[tenant_id]]

    def _all(self, lane: Lane) -> Iterator[Message]:
        raw: Any = self.redis.lrange(lane, 0, -1)
        for each in reversed(raw):
            message = orjson.loads(each)
            _, arguments, _ = orjson.loads(base64.b64decode(message["body"]))
            yield Message(**arguments, sent_at=datetime.fromisoformat(message["headers"]["baton_sent_at"]))
