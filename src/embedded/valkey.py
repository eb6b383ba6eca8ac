"""Valkey 9."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.access import Access
from embedded.logfile import open_log
from embedded.ports import LOOPBACK
from embedded.server import EmbeddedServer, Site
from embedded.spawn import Command, spawn
from embedded.wheels import valkey_program

_USER = "default"
_SOCKET = "valkey.sock"
_SETTINGS = f"""\
bind {LOOPBACK}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
unixsocket {_SOCKET}
unixsocketperm 700
"""
_PING_SECONDS = 1.0
_PONG = b"+OK\r\n+PONG\r\n"


class EmbeddedValkey(EmbeddedServer):
    """A Valkey with an append-only file, which refuses writes when it is full and forgets nothing."""

    def __init__(self, home: Path) -> None:
        """Name the home folder; nothing is created before `start`."""
        super().__init__(home, _Program())

    @property
    def url(self) -> str:
        """The URL of database 0; raises EmbeddedServerError when never started."""
        return self.known_access().url("redis", _USER, "0", user="")


class _Program:
    title = "Valkey"
    roles = (_USER,)
    # On SIGTERM it saves the append-only file first.
    stop_signals = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))

    def prepare(self, site: Site, _access: Access) -> None:
        site.data.mkdir(mode=0o700, exist_ok=True)

    def launch(self, site: Site, access: Access) -> subprocess.Popen[bytes]:
        # By standard input: everybody can read a password among the arguments, and a file may stay behind.
        with tempfile.TemporaryFile() as settings, open_log(site.log) as log:
            secret = access.passwords[_USER]
            settings.write(f"{_SETTINGS}port {access.port}\nrequirepass {secret}\n".encode())
            settings.seek(0)
            command = Command(
                words=[str(valkey_program()), "-"],
                folder=site.data,
                log=log,
                lock=site.lock,
                stdin=settings,
                death_signal=signal.SIGTERM,
            )
            return spawn(command)

    def is_ready(self, site: Site, access: Access, _pid: int) -> bool:
        """Ask through the socket in the data folder: on the port a stranger could answer."""
        try:
            with _connected(site.data) as connection:
                connection.sendall(f"AUTH {access.passwords[_USER]}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return answers.read(len(_PONG)) == _PONG
        except OSError:
            return False


@contextmanager
def _connected(data: Path) -> Iterator[socket.socket]:
    """Connect to the Unix socket, on Linux through the folder's descriptor: its path may exceed 107 bytes."""
    folder = os.open(data, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PING_SECONDS)
            path = f"/proc/self/fd/{folder}" if sys.platform == "linux" else data
            connection.connect(f"{path}/{_SOCKET}")
            yield connection
    finally:
        os.close(folder)
