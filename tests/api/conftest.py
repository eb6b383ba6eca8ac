from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from psycopg import Connection

from core.settings import Settings
from core.tenancy.model import SCOPES, Actor
from core.tenancy.queries import create_token
from tests.api.serving import Worker, serving

MakeToken = Callable[..., str]


@pytest.fixture(scope="session")
def worker(settings: Settings) -> Iterator[Worker]:
    """The one worker of the session."""
    process = Worker(settings)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def url(settings: Settings) -> Iterator[str]:
    """Where a front end listens that waits long for the execution of a write."""
    with serving(settings, mcp_wait=30) as url:
        yield url


@pytest.fixture
def make_token(connection: Connection[Any], tenant: str) -> MakeToken:
    """Make a token of the workspace's agent, with every scope unless some are named."""

    def make(*scopes: str, tenant_id: str = tenant, expires_at: datetime | None = None) -> str:
        agent = Actor("agt_1", "agent", "Ann Agent")
        return create_token(connection, tenant_id, agent, list(scopes or SCOPES), expires_at)[1]

    return make


@pytest.fixture
def token(make_token: MakeToken) -> str:
    """A token with every scope."""
    return make_token()
