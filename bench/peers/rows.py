"""What every peer writes: the same three rows, into tables made by Baton's own migrations."""

from datetime import UTC, datetime
from hashlib import sha256

from core.audit import AuditEventRow
from core.db import Row
from core.ids import new_id, sibling_id
from core.requests import PLACE_IN_LINE, RequestRow
from core.tasks.commands import CreateTask
from core.tasks.model import TaskRow

_WHO = {"actor_id": "agt_1", "actor_type": "agent", "actor_name": "Bench agent", "source": "api"}


def three_rows(command: CreateTask, task_id: str) -> list[Row]:
    """Return task, request and audit event of a creation that succeeded."""
    now, tenant_id, request_id = datetime.now(UTC), "ten_bench", new_id("req")
    payload = command.payload()
    task = TaskRow(
        tenant_id=tenant_id,
        id=task_id,
        status="open",
        source="api",
        last_agent_actor_id="agt_1",
        created_at=now,
        updated_at=now,
        revision=1,
        **command.model_dump(),
    )
    request = RequestRow(
        tenant_id=tenant_id,
        id=request_id,
        lane="interactive",
        command=command.kind,
        payload=command.model_dump(mode="json", exclude_unset=True),
        target_type="task",
        target_id=task_id,
        fingerprint=sha256(payload.encode()).digest(),
        status="succeeded",
        attempts=1,
        finished_at=now,
        **_WHO,
    )
    event = AuditEventRow(
        tenant_id=tenant_id,
        id=sibling_id("aud", request_id),
        seq=PLACE_IN_LINE.next_value(),
        occurred_at=now,
        action=command.action,
        outcome="applied",
        target_type="task",
        target_id=task_id,
        new_status="open",
        requested_status="open",
        request_id=request_id,
        **_WHO,
    )
    return [task, request, event]
