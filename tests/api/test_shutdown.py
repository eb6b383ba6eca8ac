"""What becomes of those who are being served when the web process is asked to end."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import Connection

from core.settings import Settings
from tests.api.asking import WAIT, Api, accepted
from tests.api.serving import Web
from tests.concurrency import wait_until

_WRITERS = 64
_POLLERS = 10

# Nobody executes anything here: every request stays queued.
pytestmark = pytest.mark.usefixtures("lanes")


@pytest.fixture
def process(settings: Settings, tmp_path: Path) -> Iterator[Web]:
    """A web process of the test's own, which may end it."""
    process = Web(settings, tmp_path / "log")
    yield process
    process.stop()


def _write_on(url: str, token: str, receipts: list[str]) -> None:
    """Write over one connection until the process takes no more."""
    with httpx.Client(base_url=url, timeout=60) as http:
        api = Api(http, token)
        try:
            while True:
                receipts.append(accepted(api.post("/v1/tasks", {"title": "Call Jane"}))["request_id"])
        except httpx.TransportError:
            return


def test_everybody_is_answered_and_nothing_is_lost_when_the_process_ends_under_load(
    process: Web, token: str, tenant: str, connection: Connection[Any]
) -> None:
    receipts: list[str] = []
    with httpx.Client(base_url=process.url, timeout=60) as http, ThreadPoolExecutor(_WRITERS + 2 * _POLLERS) as threads:
        api = Api(http, token)
        queued = api.submit()["request_id"]
        polls = [threads.submit(api.get, f"/v1/requests/{queued}", headers=WAIT) for _ in range(_POLLERS)]
        writes = [threads.submit(api.post, "/v1/tasks", {"title": "Jane"}, headers=WAIT) for _ in range(_POLLERS)]
        writers = [threads.submit(_write_on, process.url, token, receipts) for _ in range(_WRITERS)]
        try:
            wait_until(lambda: len(receipts) > 10 * _WRITERS)
            assert [waiting.result().text for waiting in [*polls, *writes] if waiting.done()] == []
        finally:  # or the writers go on for ever
            began = time.monotonic()
            process.stop()
        assert time.monotonic() - began < 10

    for writer in writers:
        writer.result()
    assert {poll.result().json()["request"]["status"] for poll in polls} == {"queued"}
    receipts += [queued, *(accepted(write.result())["request_id"] for write in writes)]
    found = connection.execute("SELECT id FROM requests WHERE tenant_id = %s", (tenant,)).fetchall()
    assert {id_ for (id_,) in found} == set(receipts)
