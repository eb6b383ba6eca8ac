from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog
from psycopg import AsyncConnection, Connection
from redis import Redis

from core.db import connect, connect_async
from core.settings import Settings, load_settings
from core.tenancy.model import SCOPES, Actor, Caller
from core.tenancy.queries import create_tenant
from tests.lanes import Lanes
from tests.proxy import WeakServer, before_postgres, before_valkey
from tests.servers import SERVERS
from tests.workspaces import Workspace


def pytest_configure() -> None:
    # The default prints exceptions with the values of all variables, which takes longer than most tests.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["level", "event"], bool_as_flag=False),
        ]
    )


def pytest_unconfigure() -> None:
    SERVERS.stop()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Start Postgres, at the newest schema, and Valkey; both run until the session ends."""
    SERVERS.start()
    return load_settings()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection[Any]]:
    """A connection such as a worker has, in autocommit."""
    with connect(settings, worker=True) as connection:
        yield connection


@pytest.fixture
async def async_connection(settings: Settings) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection such as an intake has, in autocommit."""
    async with await connect_async(settings) as connection:
        yield connection


@pytest.fixture
def tenant(connection: Connection[Any]) -> str:
    """A new workspace. Tests are kept apart by their workspaces; no table is ever emptied."""
    return _new_tenant(connection)


@pytest.fixture
def person(tenant: str) -> Caller:
    return Caller(tenant, "tok_person", Actor("usr_1", "user", "Pat Person"), frozenset(SCOPES), None)


@pytest.fixture
def agent(tenant: str) -> Caller:
    return Caller(tenant, "tok_agent", Actor("agt_1", "agent", "Ann Agent"), frozenset(SCOPES), None)


@pytest.fixture
def stranger(connection: Connection[Any]) -> Caller:
    """A person of another workspace."""
    actor = Actor("usr_1", "user", "Sam Stranger")
    return Caller(_new_tenant(connection), "tok_stranger", actor, frozenset(SCOPES), None)


@pytest.fixture
def workspace(settings: Settings, connection: Connection[Any], person: Caller) -> Workspace:
    return Workspace(settings, connection, person)


@pytest.fixture
def lanes(settings: Settings) -> Iterator[Lanes]:
    """The lanes of the queue, empty before and after."""
    with Redis.from_url(str(settings.redis_url)) as redis:
        lanes = Lanes(redis)
        lanes.clear()
        yield lanes
        lanes.clear()


def _new_tenant(connection: Connection[Any]) -> str:
    tenant_id = f"ten_{uuid4().hex}"
    create_tenant(connection, tenant_id, "A workspace of the tests")
    return tenant_id


@pytest.fixture
def weak_postgres(settings: Settings) -> Iterator[WeakServer]:
    """Settings that reach Postgres through a proxy, which the test may cut or freeze."""
    with before_postgres(settings) as weak:
        yield weak


@pytest.fixture
def weak_valkey(settings: Settings) -> Iterator[WeakServer]:
    """Settings that reach Valkey through a proxy, which the test may cut or freeze."""
    with before_valkey(settings) as weak:
        yield weak
