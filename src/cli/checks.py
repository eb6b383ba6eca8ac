"""The doctor's look at what Baton stands on: Python, settings, home folder, Postgres, Valkey."""

import json
import platform
import stat
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import Connection

from cli.database import address, first_line, unreachable
from cli.exits import Failure
from cli.findings import Finding, hint, ok, problem
from cli.migrate import current_revision, head_revision
from cli.stack import ROOT, stack_settings
from core.db import connect
from core.settings import Settings, checkout_home

_OLDEST_PYTHON = (3, 11)
_OLDEST_POSTGRES = 140000
_START = "Start Baton with `make run`, or check BATON_DATABASE_URL and BATON_REDIS_URL"
_PROBE_SECONDS = 2.0


def check_python() -> Finding:
    """Look at the interpreter."""
    found = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info >= _OLDEST_PYTHON:
        return ok("Python", found)
    return problem("Python", found, "Baton needs 3.11 or newer: `make env PYTHON=python3.12`")


def check_settings() -> tuple[Settings | None, Finding]:
    """Read the settings; return them where they are complete."""
    env = checkout_home() / "env"
    try:
        settings = stack_settings()
    except Failure as error:
        return None, problem("settings", error.message, "`baton up` writes them")
    origin = f"with {env}" if env.exists() else "from the environment"
    return settings, ok("settings", origin)


def check_home() -> Iterator[Finding]:
    """Look at the demo workspace's tokens."""
    file = checkout_home() / "tokens.json"
    advice = "`baton up` makes it anew"
    try:
        members = json.loads(file.read_text())
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        yield hint("tokens", f"there is no {file}", "`baton up` makes it; a production stack needs none")
    except (OSError, ValueError) as error:
        yield problem("tokens", f"{file} cannot be read: {first_line(error)}", advice)
    else:
        if not isinstance(members, dict) or not members.keys() >= {"url", "person", "agent"}:
            yield problem("tokens", f"{file} is incomplete", advice)
        elif mode & 0o077:
            yield problem("tokens", f"others can read {file} (mode {mode:04o})", f"chmod 600 '{file}'")
        else:
            yield ok("tokens", f"{file}, mode {mode:04o}")


def check_postgres(settings: Settings) -> Iterator[Finding]:
    """Look whether Postgres answers, is new enough and has the newest schema."""
    try:
        with connect(settings) as connection:
            yield _postgres_version(connection, address(settings))
            yield _schema(connection)
    except psycopg.OperationalError as error:
        yield problem("Postgres", unreachable(settings, error).message.removeprefix("Postgres at "), _START)
    except psycopg.Error as error:
        yield problem("Postgres", first_line(error), _START)


def check_valkey(settings: Settings) -> Iterator[Finding]:
    """Look whether Valkey, or Redis, answers, takes writes and forgets nothing when it is full."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    where = f"{settings.redis_url.host}:{settings.redis_url.port or 6379}"
    client = Redis.from_url(
        str(settings.redis_url),
        socket_timeout=_PROBE_SECONDS,
        socket_connect_timeout=_PROBE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with client:
            about: dict[str, Any] = client.info()
            client.set("baton:doctor", "1", px=1000)
    except (RedisError, OSError) as error:
        yield problem("Valkey", f"{where}: {first_line(error)}", _START)
        return
    version = about.get("valkey_version") or about.get("redis_version")
    yield ok("Valkey", f"{version} at {where} takes writes")
    policy = about.get("maxmemory_policy")
    if policy == "noeviction":
        yield ok("eviction", "noeviction: when it is full it says so")
    else:
        yield problem("eviction", f"maxmemory-policy is {policy}", "Set it to noeviction: messages would be dropped")


def _postgres_version(connection: Connection[Any], where: str) -> Finding:
    found = connection.info.server_version
    text = f"{found // 10000}.{found % 10000} at {where}"
    if found < _OLDEST_POSTGRES:
        return problem("Postgres", text, "Baton needs 14 or newer and is tested with 18")
    return ok("Postgres", text)


def _schema(connection: Connection[Any]) -> Finding:
    if not (ROOT / "migrations").is_dir():
        return hint("schema", f"there are no migrations in {ROOT}", "Run the doctor of the checkout or the image")
    current, head = current_revision(connection), head_revision()
    if current == head:
        return ok("schema", f"at {head}, the newest")
    return problem("schema", f"at {current or 'nothing'}, the newest is {head}", "Run `baton migrate`")
