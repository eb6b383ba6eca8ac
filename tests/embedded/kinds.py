"""The two servers, seen alike: what most tests here ask of one they ask of both."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from embedded import EmbeddedPostgres, EmbeddedValkey

_PATIENCE_SECONDS = 30.0


class Kind(ABC):
    """A kind of server, and how to keep a word in it."""

    name: str

    @abstractmethod
    def create(self, home: Path) -> EmbeddedPostgres | EmbeddedValkey: ...

    @abstractmethod
    def write(self, url: str, word: str) -> None: ...

    @abstractmethod
    def read(self, url: str) -> str: ...


class PostgresKind(Kind):
    name = "postgres"

    def create(self, home: Path) -> EmbeddedPostgres:
        return EmbeddedPostgres(home)

    def write(self, url: str, word: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
            connection.execute("DELETE FROM words")
            connection.execute("INSERT INTO words VALUES (%s)", [word])

    def read(self, url: str) -> str:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT word FROM words").fetchone()
        assert row is not None
        return str(row[0])


class ValkeyKind(Kind):
    name = "valkey"

    def create(self, home: Path) -> EmbeddedValkey:
        return EmbeddedValkey(home)

    def write(self, url: str, word: str) -> None:
        with redis.Redis.from_url(url) as client:
            client.set("word", word)

    def read(self, url: str) -> str:
        with redis.Redis.from_url(url, decode_responses=True) as client:
            return str(client.get("word"))


KINDS: list[Kind] = [PostgresKind(), ValkeyKind()]


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; raises TimeoutError when it does not within 30 s."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
