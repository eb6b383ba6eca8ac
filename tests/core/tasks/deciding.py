"""Plain calls of handlers: no servers, no clock."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.commands import Command
from core.handlers import HANDLERS, Context, Decision, State
from core.records import Target
from core.tasks.model import Task
from core.tenancy.model import Actor

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
PERSON = Actor("usr_1", "user", "Pat Person")
AGENT = Actor("agt_1", "agent", "Ann Agent")
SERVICE = Actor("svc_1", "service", "Importer")

OPEN = Task(
    id="task_1", tenant_id="ten_1", title="Call Jane", source="api", created_at=EARLIER, updated_at=EARLIER, revision=3
)
COMPLETED = replace(OPEN, status="completed", completed_at=EARLIER, completed_note="Jane replied.")
CANCELED = replace(OPEN, status="canceled")
BY_STATUS = {task.status: task for task in (OPEN, COMPLETED, CANCELED)}


def decide(
    command: Command,
    *tasks: Task,
    actor: Actor = PERSON,
    resources: Collection[tuple[str, str, str]] = (),
    tenant_id: str = "ten_1",
) -> Decision:
    """Return what the handler of a command decides, given these tasks and related resources."""
    state = State({task.target: task for task in tasks}, {Target(*each) for each in resources})
    context = Context("req_1", Target(tenant_id, "task", "task_1"), actor, "mcp", NOW)
    return HANDLERS[type(command)](command, state, context)


def task_of(decision: Decision) -> Task:
    """Return the task that a decision is about."""
    assert isinstance(decision.record, Task)
    return decision.record
