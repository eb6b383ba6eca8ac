import asyncio

import httpx

from tests.functional.stack import Stack

_TASKS = 200


async def _life(client: httpx.AsyncClient, number: int) -> tuple[str, str]:
    """Create, complete, reopen and cancel a task back to back, and return its id and its last request's."""
    created = await client.post("/v1/tasks", json={"title": f"Follow up {number}"})
    assert created.status_code == httpx.codes.ACCEPTED, created.text
    task_id = created.json()["task"]["id"]
    last = created
    for status in ("completed", "open", "canceled"):
        last = await client.patch(f"/v1/tasks/{task_id}", json={"status": status})
        assert last.status_code == httpx.codes.ACCEPTED, last.text
    return task_id, last.json()["request_id"]


async def _seen(client: httpx.AsyncClient, task_id: str, request_id: str) -> tuple[str, int, list[tuple[str, str]]]:
    found = await client.get(
        f"/v1/tasks/{task_id}", params={"after_request": request_id}, headers={"Prefer": "wait=30"}
    )
    assert found.status_code == httpx.codes.OK, found.text
    trail = await client.get(f"/v1/tasks/{task_id}/audit-events")
    events = [(event["action"], event["outcome"]) for event in trail.json()["audit_events"]]
    return found.json()["task"]["status"], found.json()["task"]["revision"], events


async def test_writes_sent_back_to_back_take_effect_in_order_with_four_workers(stack: Stack) -> None:
    assert len(stack.pids("worker")) == 4
    headers = {"Authorization": f"Bearer {stack.tokens['person']}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client:
        lives = await asyncio.gather(*(_life(client, number) for number in range(_TASKS)))
        seen = await asyncio.gather(*(_seen(client, *life) for life in lives))
    trail = [(f"task.{verb}", "applied") for verb in ("create", "complete", "reopen", "cancel")]
    assert seen == [("canceled", 4, trail)] * _TASKS


async def test_one_idempotency_key_sent_fifty_times_at_once_applies_once(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.tokens['agent']}"}
    body = {"title": "Only once", "idempotency_key": "only-once"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as client:
        answers = await asyncio.gather(*(client.post("/v1/tasks", json=body) for _ in range(50)))
        other = await client.post("/v1/tasks", json={**body, "title": "Another body"})
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    assert len({(answer.json()["request_id"], answer.json()["task"]["id"]) for answer in answers}) == 1
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 49
    assert (other.status_code, other.json()["code"]) == (httpx.codes.CONFLICT, "idempotency_conflict")
