"""Writes for which the servers or the room are missing."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from psycopg import Connection

from api.app import create_app
from core.errors import Unavailable
from core.settings import Settings
from tests.api.asking import WAIT, Api, accepted, problem_of
from tests.api.serving import running, serving
from tests.concurrency import wait_until
from tests.proxy import WeakServer


def test_a_write_that_is_accepted_is_answered_so_when_postgres_goes_while_its_client_waits(
    settings: Settings, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)
        assert asking.get("/v1/tasks").status_code == 200

        async def run(_self: object, _query: object) -> Any:  # noqa: ANN401
            raise Unavailable

        with monkeypatch.context() as outage:
            outage.setattr(type(app.state.runtime.reader), "run", run)
            receipt = accepted(asking.post("/v1/tasks", {"title": "x"}, headers=WAIT))

    assert api.finished(receipt["request_id"])["status"] == "succeeded"


@pytest.mark.parametrize("fail", ["cut", "freeze"])
def test_without_postgres_every_refusal_comes_at_once_and_with_it_again_every_answer(
    weak_postgres: WeakServer, api: Api, fail: str
) -> None:
    with serving(weak_postgres.settings) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)
        asking.submit("Before")
        getattr(weak_postgres.proxy, fail)()
        began = time.monotonic()
        for _ in range(50):
            for refused in (asking.post("/v1/tasks", {"title": "During"}), asking.get("/v1/tasks")):
                problem = problem_of(refused, 503, "unavailable")
                assert refused.headers["retry-after"] == str(problem["retry_after_seconds"])
        assert time.monotonic() - began < 60  # each on its own would wait for seconds
        weak_postgres.proxy.restore()

        wait_until(lambda: asking.get("/readyz").json()["postgres"] == "ok")
        accepted(asking.post("/v1/tasks", {"title": "After"}))
        assert asking.get("/v1/tasks").status_code == 200


def test_an_upload_is_let_go_when_postgres_freezes_in_its_midst(weak_postgres: WeakServer, api: Api) -> None:
    with serving(weak_postgres.settings) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)

        def pieces() -> Iterator[bytes]:
            yield b"title\nCall Jane\n"
            wait_until(lambda: bool(asking.get("/v1/imports").json()["imports"]))
            weak_postgres.proxy.freeze()
            yield b"Call Joe\n"

        refused = asking.send("POST", "/v1/imports", content=pieces(), headers={"Content-Type": "text/csv"})
        weak_postgres.proxy.restore()

    problem_of(refused, 503, "unavailable")


def test_more_writes_than_may_wait_are_refused_and_those_that_wait_are_accepted(
    settings: Settings, api: Api, connection: Connection[Any]
) -> None:
    with serving(settings, intake_backlog=1) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)
        with ThreadPoolExecutor(20) as threads:
            # One is being committed, one waits behind it, and there is room for no other.
            with connection.transaction():
                connection.execute("LOCK TABLE requests IN EXCLUSIVE MODE")
                answers = [threads.submit(asking.post, "/v1/tasks", {"title": "x"}) for _ in range(20)]
                wait_until(lambda: sum(answer.done() for answer in answers) == 18)
            responses = [answer.result() for answer in answers]

    taken = [response for response in responses if response.status_code == 202]
    for response in responses:
        if response not in taken:
            problem = problem_of(response, 429, "queue_full")
            assert response.headers["retry-after"] == str(problem["retry_after_seconds"]) == "1"
    assert {api.finished(accepted(response)["request_id"])["status"] for response in taken} == {"succeeded"}
    assert len(api.get("/v1/tasks").json()["tasks"]) == len(taken) == 2
