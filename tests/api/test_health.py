from collections.abc import Iterator

import httpx
import pytest
from pydantic import PostgresDsn, RedisDsn

from core.settings import Settings
from tests.api.asking import Api, accepted, curl, needs_curl, problem_of
from tests.api.conftest import MakeApi
from tests.api.serving import serving
from tests.concurrency import wait_until

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}  # as a proxy on this machine says


def test_a_process_that_answers_lives(http: httpx.Client) -> None:
    response = http.get("/livez")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_process_with_its_servers_is_ready(http: httpx.Client) -> None:
    response = http.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ready", "postgres": "ok", "broker": "ok"})


@needs_curl
def test_this_machine_reads_the_metrics_without_a_token(web: str) -> None:
    response = curl(f"{web}/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=1.0.0")
    assert "# TYPE python_gc_objects_collected_total counter" in response.text.splitlines()


def test_from_elsewhere_the_metrics_need_a_token(http: httpx.Client) -> None:
    problem_of(http.get("/metrics", headers=ELSEWHERE), 401, "unauthorized")


def test_from_elsewhere_the_metrics_need_the_scope_admin(make_api: MakeApi) -> None:
    refused = make_api("tasks:read", "audit:read").get("/metrics", headers=ELSEWHERE)
    granted = make_api("admin").get("/metrics", headers=ELSEWHERE)

    assert problem_of(refused, 403, "missing_required_scope")["required_scope"] == "admin"
    assert granted.status_code == 200
    assert granted.text.startswith("# HELP ")


@pytest.mark.parametrize("address", ["unknown", "_hidden", "203.0.113.9:80", "[2001:db8::1]", "203.0.113.9, unknown"])
def test_a_caller_whose_address_is_none_is_not_of_this_machine(http: httpx.Client, address: str) -> None:
    problem_of(http.get("/metrics", headers={"X-Forwarded-For": address}), 401, "unauthorized")


@pytest.fixture(scope="module")
def without_postgres(settings: Settings) -> Iterator[httpx.Client]:
    nowhere = PostgresDsn("postgresql://baton:x@127.0.0.1:1/baton")
    with (
        serving(settings, database_url=nowhere, database_timeout=0.5) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def test_without_postgres_a_process_lives_and_is_not_ready(without_postgres: httpx.Client) -> None:
    wait_until(lambda: without_postgres.get("/readyz").json()["broker"] == "ok")
    response = without_postgres.get("/readyz")

    assert without_postgres.get("/livez").status_code == 200
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json() == {"status": "unavailable", "postgres": "unreachable", "broker": "ok"}


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/tasks"), ("GET", "/v1/tasks"), ("GET", "/v1/requests/r")])
def test_without_postgres_an_operation_says_so_and_when_to_try_again(
    without_postgres: httpx.Client, method: str, path: str
) -> None:
    response = Api(without_postgres, "baton_unknown").send(method, path, json={"title": "x"})

    problem = problem_of(response, 503, "unavailable")
    assert response.headers["retry-after"] == str(problem["retry_after_seconds"]) == "2"


def test_without_the_broker_writes_are_accepted_and_the_process_says_what_is_missing(
    settings: Settings, api: Api
) -> None:
    nowhere = RedisDsn("redis://127.0.0.1:1/0")
    with serving(settings, redis_url=nowhere) as url, httpx.Client(base_url=url, timeout=60) as http:
        deaf = Api(http, api.token)
        wait_until(lambda: deaf.get("/readyz").json()["postgres"] == "ok")
        response = deaf.get("/readyz")
        assert (response.status_code, response.json()) == (
            200,
            {"status": "degraded", "postgres": "ok", "broker": "unreachable"},
        )
        # The publisher of this process is the session's own: what is lost here is that nobody wakes who waits.
        receipt = accepted(deaf.post("/v1/tasks", {"title": "x"}))
        assert deaf.finished(receipt["request_id"])["status"] == "succeeded"
