"""Postgres and Valkey under a stack: those that the environment names, else embedded ones."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cli.exits import Failure
from cli.supervisor import Backoff, Output, wait_for_event

_POLL_SECONDS = 0.25


class Server(Protocol):
    """A server that this process runs, such as `embedded.EmbeddedPostgres`."""

    @property
    def running(self) -> bool:
        """Whether its process is alive."""

    @property
    def url(self) -> str:
        """How to reach it, which never changes."""

    def start(self) -> None:
        """Start it, also after its process died; raises RuntimeError."""

    def stop(self) -> None:
        """Stop it in an orderly way."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are, and by name those that are ours to keep running."""

    database_url: str
    redis_url: str
    own: Mapping[str, Server]


@contextmanager
def servers_of(home: Path, say: Callable[[str], None]) -> Iterator[Servers]:
    """Start the embedded servers that are needed; stop them at the end, Valkey first.

    Raises:
        Failure: one cannot be started.

    """
    own: dict[str, Server] = {}
    with ExitStack() as stops:

        def embed(name: str, server: Server) -> str:
            say(f"starting {name}")
            stops.callback(server.stop)
            _start(server)
            own[name] = server
            return server.url

        database_url = os.environ.get("BATON_DATABASE_URL") or embed("Postgres", _postgres(home))
        redis_url = os.environ.get("BATON_REDIS_URL") or embed("Valkey", _valkey(home))
        yield Servers(database_url, redis_url, own)


async def keep_running(name: str, server: Server, stopping: asyncio.Event, output: Output) -> None:
    """Start the server again whenever it ends, until `stopping` is set."""
    backoff = Backoff()
    began = time.monotonic()
    while not await wait_for_event(stopping, _POLL_SECONDS):
        if server.running:
            continue
        pause = backoff.after(time.monotonic() - began)
        output.notice(f"{name} ended; starting it again")
        began = time.monotonic()
        try:
            await asyncio.to_thread(server.start)
        except RuntimeError as error:
            output.notice(f"{error}\ntrying again in {pause:.1f} s")
            await wait_for_event(stopping, pause)
        else:
            output.notice(f"{name} is back")


def _postgres(home: Path) -> Server:
    from embedded import EmbeddedPostgres

    return EmbeddedPostgres(home)


def _valkey(home: Path) -> Server:
    from embedded import EmbeddedValkey

    return EmbeddedValkey(home)


def _start(server: Server) -> None:
    try:
        server.start()
    except RuntimeError as error:
        raise Failure(str(error)) from None
