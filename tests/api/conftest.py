from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from psycopg import Connection

from core.settings import Settings
from core.tenancy.model import SCOPES, Actor, Caller
from core.tenancy.queries import create_token
from tests.api.asking import PATIENCE_SECONDS, Api
from tests.api.serving import Web, Worker, serving

MakeToken = Callable[..., str]
MakeApi = Callable[..., Api]


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    """The one worker of the session."""
    process = Worker(settings)
    yield process
    process.stop()


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def web(settings: Settings, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a web process listens."""
    process = Web(settings, tmp_path_factory.mktemp("web") / "log")
    yield process.url
    process.stop()


@pytest.fixture(scope="module")
def http(web: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
def make_api(http: httpx.Client, connection: Connection[Any], person: Caller) -> MakeApi:
    """Let somebody of a workspace ask: its person, with every scope unless some are named, or another caller."""

    def make(*scopes: str, caller: Caller = person, expires_at: datetime | None = None) -> Api:
        named = list(scopes or SCOPES)
        return Api(http, create_token(connection, caller.tenant_id, caller.actor, named, expires_at)[1])

    return make


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """The API as the workspace's person sees it."""
    return make_api()


@pytest.fixture
def agent_api(make_api: MakeApi, agent: Caller) -> Api:
    """The API as the workspace's agent sees it."""
    return make_api(caller=agent)


@pytest.fixture
def stranger_api(make_api: MakeApi, stranger: Caller) -> Api:
    """The API as somebody of another workspace sees it."""
    return make_api(caller=stranger)


@pytest.fixture
def nothing_is_accepted(connection: Connection[Any], tenant: str) -> Iterator[None]:
    """Hold a test to leaving no request in the workspace, whatever it sends."""
    yield
    found = connection.execute("SELECT id, command, payload FROM requests WHERE tenant_id = %s", [tenant])
    assert found.fetchall() == []
