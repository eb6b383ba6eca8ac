"""A TCP proxy before a server, which can be cut or frozen without harm to the other clients of the server."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import PostgresDsn, RedisDsn

from core.settings import Settings

_POLL_SECONDS = 0.01


class Proxy:
    """Forwards a loopback port of its own to a server, until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._frozen = threading.Event()
        self._ended = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        self._thread.join()
        self.cut()

    def cut(self) -> None:
        """Break every connection and refuse new ones, like a server that died."""
        with self._lock:
            self._listener.close()
            for one in self._pairs:
                one.close()
            self._pairs.clear()

    def freeze(self) -> None:
        """Keep connections and take new ones, and let nothing through, like a server that was stopped."""
        with self._lock:
            self._frozen.set()

    def restore(self) -> None:
        """Be as at the beginning."""
        if self._listener.fileno() == -1:
            self._listener = self._listen_again()
        self._frozen.clear()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=200)
        listener.settimeout(0)
        return listener

    def _listen_again(self) -> socket.socket:
        """Listen on the same port, which the thread that still polls the old socket may hold for a moment."""
        while True:
            try:
                return self._listen(self.port)
            except OSError:
                time.sleep(_POLL_SECONDS)

    def _run(self) -> None:
        while not self._ended:
            watched = [each for each in [self._listener, *self._pairs] if each.fileno() != -1]
            if self._frozen.is_set() or not watched:
                time.sleep(_POLL_SECONDS)
                continue
            with contextlib.suppress(OSError, ValueError):  # one was closed meanwhile
                ready, _, _ = select.select(watched, [], [], _POLL_SECONDS)
                with self._lock:
                    for each in () if self._frozen.is_set() else ready:
                        self._serve(each)

    def _serve(self, ready: socket.socket) -> None:
        if ready is self._listener:
            client, _ = ready.accept()
            server = socket.create_connection(self._target)
            self._pairs |= {client: server, server: client}
        elif ready in self._pairs:
            try:
                data = ready.recv(65536)
                self._pairs[ready].sendall(data)
            except OSError:
                data = b""
            if not data:
                self._pairs.pop(other := self._pairs.pop(ready))
                ready.close()
                other.close()


@dataclass(frozen=True, slots=True)
class WeakServer:
    """Settings whose one server is reached through a proxy."""

    settings: Settings
    proxy: Proxy


@contextlib.contextmanager
def before_postgres(settings: Settings) -> Iterator[WeakServer]:
    """Put a proxy before Postgres."""
    with Proxy(*_address(str(settings.database_url))) as proxy:
        url = PostgresDsn(_moved(str(settings.database_url), proxy))
        yield WeakServer(settings.model_copy(update={"database_url": url}), proxy)


@contextlib.contextmanager
def before_valkey(settings: Settings) -> Iterator[WeakServer]:
    """Put a proxy before Valkey."""
    with Proxy(*_address(str(settings.redis_url))) as proxy:
        url = RedisDsn(_moved(str(settings.redis_url), proxy))
        yield WeakServer(settings.model_copy(update={"redis_url": url}), proxy)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or 0


def _moved(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    login, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
