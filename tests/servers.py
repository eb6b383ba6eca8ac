"""Postgres and Valkey of a test session: those that the environment names, else embedded ones in a temporary folder.

Importing this settles their addresses, before any module is imported that reads the settings on import. The servers
start when the first test asks for them: pure tests need none.
"""

import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from alembic import command
from alembic.config import Config

from core.settings import Settings, load_settings
from embedded import EmbeddedPostgres, EmbeddedValkey
from embedded.access import generate_access, save_access

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Servers:
    """The pair of a session, and what of it is ours to start."""

    home: Path
    postgres: EmbeddedPostgres | None
    valkey: EmbeddedValkey | None

    def start(self) -> None:
        """Start what is ours, and bring the database to the newest schema."""
        for server in self._own():
            url = server.url
            server.start()
            assert server.url == url, "another process took the port that was chosen at the beginning; run again"
        command.upgrade(alembic_config(), "head")

    def stop(self) -> None:
        """Stop what is ours and remove its files."""
        for server in self._own():
            server.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _own(self) -> list[EmbeddedPostgres | EmbeddedValkey]:
        return [server for server in (self.postgres, self.valkey) if server is not None]


def choose_servers() -> Servers:
    """Decide which servers this process will use, and make `load_settings` name them."""
    home = Path(tempfile.mkdtemp(prefix="baton-tests-"))
    database_url, redis_url = os.environ.get("BATON_DATABASE_URL"), os.environ.get("BATON_REDIS_URL")
    postgres = valkey = None
    if database_url is None:
        save_access(home / "postgres.json", generate_access(("postgres", "baton")))
        postgres = EmbeddedPostgres(home)
        database_url = postgres.url
    if redis_url is None:
        save_access(home / "valkey.json", generate_access(("default",)))
        valkey = EmbeddedValkey(home)
        redis_url = valkey.url
    _settle(home, database_url, redis_url)
    return Servers(home, postgres, valkey)


def _settle(home: Path, database_url: str, redis_url: str) -> Settings:
    """Read the settings once, from a clean environment that is put back: child processes must not inherit it."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    named = {"BATON_DATABASE_URL": database_url, "BATON_REDIS_URL": redis_url}
    with (
        mock.patch.dict(os.environ, others | named, clear=True),
        mock.patch("core.settings.checkout_home", return_value=home),
    ):
        return load_settings()


def alembic_config() -> Config:
    """Return the configuration of the migrations, whatever the working folder is."""
    return Config(ROOT / "alembic.ini")


SERVERS = choose_servers()
atexit.register(SERVERS.stop)  # also where pytest ends before it was configured
