"""Sample tasks, sent through the API like anybody's, so that requests and audit events stand behind them.

Sent again they change nothing: each write has an idempotency key.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import httpx2

from cli.workspace import AGENT, PERSON, Tokens

Who = Literal["person", "agent"]


class Change(NamedTuple):
    """A change of a sample task's status, and by whom."""

    by: Who
    status: Literal["open", "completed", "canceled"]
    note: str | None = None


class Sample(NamedTuple):
    """A task to create: `due` is in days from today."""

    by: Who
    title: str
    due: int | None = None
    about: tuple[str, str] | None = None
    description: str | None = None
    assignee_id: str | None = None
    changes: tuple[Change, ...] = ()


# The contract's `task_123` is not among them: ids are made by the service.
SAMPLES = (
    Sample(
        "agent",
        "Follow up with Jane Doe",
        3,
        ("contact", "con_123"),
        "She asked about pricing by email; send the annual offer and suggest a call.",
        PERSON.id,
    ),
    Sample(
        "agent",
        "Send Jane Doe the security questionnaire",
        1,
        ("contact", "con_123"),
        assignee_id=AGENT.id,
        changes=(Change("agent", "completed", "Sent; Jane confirmed that it arrived."),),
    ),
    Sample("agent", "Ask Amir Haddad for a reference call", 5, ("contact", "con_124"), assignee_id=PERSON.id),
    Sample(
        "agent",
        "Schedule the onboarding call with Northwind",
        2,
        ("company", "com_201"),
        changes=(
            Change("agent", "completed", "Booked for Tuesday at 10:00."),
            Change("person", "open"),
        ),
    ),
    Sample(
        "person",
        "Prepare the renewal offer for Northwind",
        10,
        ("deal", "deal_301"),
        "40 seats, annual; legal wants to see it before it goes out.",
        PERSON.id,
    ),
    Sample(
        "agent",
        "Remind Mei Tanaka of the open invoice",
        -2,
        ("contact", "con_125"),
        assignee_id=AGENT.id,
    ),
    # The agent completes what a person has canceled: that fails, and the audit trail shows it.
    Sample(
        "agent",
        "Invite Lucía Fernández to the autumn webinar",
        None,
        ("contact", "con_126"),
        changes=(
            Change("person", "canceled"),
            Change("agent", "completed", "Invitation sent."),
        ),
    ),
    Sample(
        "agent",
        "Tell Halden Robotics when exports are fixed",
        7,
        ("support_ticket", "tic_401"),
        "Their export stops after 10,000 rows.",
        PERSON.id,
    ),
    Sample(
        "person",
        "Agree on success criteria for the Halden pilot",
        4,
        ("deal", "deal_302"),
        assignee_id=PERSON.id,
        changes=(Change("person", "completed", "Three criteria, signed off by their head of operations."),),
    ),
    Sample("agent", "Find out who decides on budget at Halden Robotics", 6, ("company", "com_202"), None, AGENT.id),
    Sample("person", "Clean up duplicate contacts from the spring import"),
    Sample(
        "agent",
        "Draft a reply to Amir Haddad's contract questions",
        0,
        ("contact", "con_124"),
        changes=(Change("agent", "canceled"),),
    ),
)


async def add_sample_tasks(client: httpx2.AsyncClient, tokens: Tokens) -> None:
    """Submit every sample and its changes; raises httpx2.HTTPError where the API does not take one."""
    today = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    secrets = {"person": tokens.person, "agent": tokens.agent}
    for place, sample in enumerate(SAMPLES, 1):
        key = f"demo-task-{place}"
        task_id = await _submit(client, secrets[sample.by], "POST", "/v1/tasks", key, _members(sample, today))
        for step, change in enumerate(sample.changes, 1):
            members = {"status": change.status, "completed_note": change.note}
            path = f"/v1/tasks/{task_id}"
            await _submit(client, secrets[change.by], "PATCH", path, f"{key}-change-{step}", _given(members))


async def _submit(
    client: httpx2.AsyncClient, secret: str, method: str, path: str, key: str, members: dict[str, Any]
) -> str:
    """Send one write and return the id of its task, which is that of the first time."""
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
    answer = await client.request(method, path, json=members, headers=headers)
    if answer.status_code == httpx2.codes.CONFLICT:
        # Sent on another day, when the due date was another one.
        known = await client.get("/v1/requests", params={"idempotency_key": key}, headers=headers)
        return str(known.raise_for_status().json()["request"]["task_id"])
    return str(answer.raise_for_status().json()["task"]["id"])


def _members(sample: Sample, today: datetime) -> dict[str, Any]:
    type_, id_ = sample.about or (None, None)
    return _given(
        {
            "title": sample.title,
            "description": sample.description,
            "due_at": None if sample.due is None else (today + timedelta(days=sample.due)).isoformat(),
            "assignee_id": sample.assignee_id,
            "related_resource_type": type_,
            "related_resource_id": id_,
        }
    )


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
