"""What dies, and what becomes of the writes that were accepted: all of them end, each of them once."""

import shutil
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.functional.stack import Stack, connected_from, thaw, until


@pytest.fixture(autouse=True)
def whole(stack: Stack) -> Iterator[None]:
    """Leave the stack as it was: every process there, every accepted write finished."""
    yield
    with stack.client() as client:
        until(lambda: _ready(client), "the stack is whole again", seconds=60, blame=stack.log)


def _ready(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/readyz").json()["status"] == "ready")
    except httpx.TransportError:
        return False


def _accept(client: httpx.Client, count: int) -> list[str]:
    """Create tasks without waiting, and return the ids of the requests."""
    answers = [client.post("/v1/tasks", json={"title": f"Accepted {number}"}) for number in range(count)]
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}, answers[-1].text
    return [answer.json()["request_id"] for answer in answers]


def _assert_each_ends_once(stack: Stack, client: httpx.Client, request_ids: list[str], *, seconds: float = 30) -> None:
    """Wait until all are finished; the limit is a guard against hanging, with room for a busy machine."""
    deadline = time.monotonic() + seconds
    for request_id in request_ids:
        left = max(1, int(deadline - time.monotonic()))
        answer = client.get(f"/v1/requests/{request_id}", headers={"Prefer": f"wait={min(left, 30)}"})
        assert answer.json()["request"]["status"] == "succeeded", (answer.text, stack.log.read_text()[-6000:])
    with psycopg.connect(stack.database_url) as connection:
        events = connection.execute(
            "SELECT count(*), count(DISTINCT request_id), count(DISTINCT target_id) FROM audit_events"
            " WHERE request_id = ANY(%s) AND outcome = 'applied'",
            (request_ids,),
        ).fetchone()
        tasks = connection.execute(
            "SELECT count(*), max(revision) FROM tasks JOIN requests ON (requests.tenant_id, requests.target_id) ="
            " (tasks.tenant_id, tasks.id) WHERE requests.id = ANY(%s)",
            (request_ids,),
        ).fetchone()
    assert events == (len(request_ids),) * 3
    assert tasks == (len(request_ids), 1)


def test_killing_every_worker_in_mid_batch_loses_nothing(stack: Stack, person: httpx.Client) -> None:
    accepted: list[str] = []
    for _ in range(3):
        accepted += _accept(person, 40)
        stack.kill("worker")
    _assert_each_ends_once(stack, person, accepted)


def test_killing_a_worker_that_holds_the_locks_of_its_batch_loses_nothing(stack: Stack, person: httpx.Client) -> None:
    with psycopg.connect(stack.database_url) as blocker:
        # Execution stops inside its transaction, where it writes tasks, until this one ends.
        blocker.execute("LOCK TABLE tasks IN SHARE MODE")
        accepted = _accept(person, 20)
        until(lambda: _waiting_for_tasks(stack), "a worker is in mid-batch", blame=stack.log)
        stack.kill("worker")
    _assert_each_ends_once(stack, person, accepted)


def test_freezing_a_worker_that_holds_the_locks_of_its_batch_keeps_nobody_waiting_for_long(
    stack: Stack, person: httpx.Client
) -> None:
    task_id = person.post("/v1/tasks", json={"title": "Held"}, headers={"Prefer": "wait=30"}).json()["task"]["id"]
    with psycopg.connect(stack.database_url) as blocker:
        blocker.execute("LOCK TABLE tasks IN SHARE MODE")
        person.patch(f"/v1/tasks/{task_id}", json={"status": "completed"})
        ports = until(lambda: _waiting_for_tasks(stack), "a worker is in mid-batch", blame=stack.log)
        workers = stack.freeze("worker")
    frozen = connected_from(workers, ports)
    try:
        thaw([pid for pid in workers if pid not in frozen])
        reopened = person.patch(f"/v1/tasks/{task_id}", json={"status": "open"}).json()["request_id"]
        _assert_each_ends_once(stack, person, _accept(person, 20))
        answer = person.get(f"/v1/requests/{reopened}", headers={"Prefer": "wait=30"})
    finally:
        thaw(frozen)
    assert len(frozen) == 1
    assert answer.json()["request"]["status"] == "succeeded", stack.log.read_text()[-6000:]


def _waiting_for_tasks(stack: Stack) -> list[int]:
    """Return the ports from which those are connected who wait for the table."""
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(
            "SELECT client_port FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND relation = 'tasks'::regclass"
        ).fetchall()
    return [port for (port,) in rows]


def test_killing_valkey_with_messages_queued_and_wiping_its_data_loses_nothing(
    stack: Stack, person: httpx.Client
) -> None:
    stopped = stack.freeze("worker")  # so that the messages wait in Valkey
    accepted = _accept(person, 60)
    stack.kill("valkey")
    for path in (stack.home / "valkey").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    accepted += _accept(person, 20)
    thaw(stopped)
    _assert_each_ends_once(stack, person, accepted)


def test_killing_the_api_between_commit_and_publish_loses_nothing(stack: Stack, person: httpx.Client) -> None:
    frozen = stack.freeze("valkey")  # so that nothing is published
    accepted = _accept(person, 20)
    stack.kill("web")
    thaw(frozen)
    with stack.client() as client:
        until(lambda: _ready(client), "the API is back", seconds=60, blame=stack.log)
        _assert_each_ends_once(stack, client, accepted)


def test_writes_are_accepted_while_valkey_is_frozen(stack: Stack, person: httpx.Client) -> None:
    frozen = stack.freeze("valkey")
    try:
        accepted = _accept(person, 30)
        waited = person.post("/v1/tasks", json={"title": "Waited for"}, headers={"Prefer": "wait=1"})
    finally:
        thaw(frozen)
    assert waited.status_code == httpx.codes.ACCEPTED
    _assert_each_ends_once(stack, person, [*accepted, waited.json()["request_id"]])


def test_while_postgres_is_frozen_the_answer_is_503_and_afterwards_all_is_well(
    stack: Stack, person: httpx.Client
) -> None:
    accepted = _accept(person, 5)
    _assert_each_ends_once(stack, person, accepted)
    frozen = stack.freeze("postgres")
    try:
        write = person.post("/v1/tasks", json={"title": "Not now"})
        read = person.get("/v1/tasks")
    finally:
        thaw(frozen)
    for answer in (write, read):
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "unavailable")
        assert answer.headers["Retry-After"] == "2"
    until(lambda: person.get("/v1/tasks").status_code == httpx.codes.OK, "reads are served again", blame=stack.log)
    _assert_each_ends_once(stack, person, _accept(person, 5))
