"""Where everything is measured: one Postgres and one Valkey in a temporary folder, with a place for each contender."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from redis import Redis

from cli.stack import ROOT
from embedded import EmbeddedPostgres, EmbeddedValkey

_VALKEY_DATABASES = range(1, 16)


@dataclass(frozen=True, slots=True)
class Place:
    """A Postgres database with Baton's schema and nothing in it, an empty Valkey database, and a folder."""

    folder: Path
    database_url: str
    redis_url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables of a process that works there, which finds the environment's own programs first."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
        return {
            **others,
            "BATON_DATABASE_URL": self.database_url,
            "BATON_REDIS_URL": self.redis_url,
            "BATON_HOME": str(self.folder),
            "BATON_LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),  # for the peers
            "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    def connect(self) -> Connection[TupleRow]:
        return psycopg.connect(self.database_url, autocommit=True)

    def run(self, command: str) -> None:
        """Run a program to its end; raises CalledProcessError."""
        words = ["/bin/sh", "-c", f"exec {command}"]
        subprocess.run(words, cwd=ROOT, env=self.environment, check=True, capture_output=True)


class Stage:
    """The two servers."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-bench-")))
            self._postgres = stack.enter_context(EmbeddedPostgres(self._home))
            self._valkey = stack.enter_context(EmbeddedValkey(self._home))
            Place(self._home, self._postgres.url, self._valkey.url).run("baton migrate")
            self._stack = stack.pop_all()
        self._numbers = count(1)
        self._valkey_databases = cycle(_VALKEY_DATABASES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def new_place(self) -> Place:
        """Make room for a contender; its database is a copy of the migrated one, which nobody uses."""
        template, name = urlsplit(self._postgres.url), f"bench_{next(self._numbers)}"
        admin = urlsplit(self._postgres.admin_url)._replace(path="/postgres").geturl()
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {template.path[1:]} OWNER {template.username}".encode()
            )
        redis_url = urlsplit(self._valkey.url)._replace(path=f"/{next(self._valkey_databases)}").geturl()
        with Redis.from_url(redis_url) as redis:
            redis.flushdb()
        folder = self._home / name
        folder.mkdir()
        return Place(folder, template._replace(path=f"/{name}").geturl(), redis_url)

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the two servers."""
        with psycopg.connect(self._postgres.url) as connection, Redis.from_url(self._valkey.url) as redis:
            number = connection.info.server_version
            return {
                "Postgres": f"{number // 10_000}.{number % 10_000}",
                "Valkey": redis.info("server")["valkey_version"],
            }
