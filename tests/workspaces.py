"""A workspace of one test: submit commands, execute them, and look at what became of them."""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row

from core.acceptance import Receipt, Submission, accept
from core.audit import AuditEvent
from core.commands import Command
from core.crm.queries import add_resource
from core.db import connect_async
from core.errors import DomainError
from core.execution import Executed, Execution
from core.queue import Batch
from core.queued import turn
from core.requests import Request
from core.settings import Settings
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import TASK_COLUMNS, Task
from core.tenancy.model import Caller


@dataclass(frozen=True, slots=True)
class Workspace:
    """One tenant, as its person and as a worker sees it."""

    settings: Settings
    connection: Connection[Any]
    person: Caller

    @property
    def tenant_id(self) -> str:
        return self.person.tenant_id

    def submission(self, command: Command, **rest: Any) -> Submission:
        return Submission(rest.pop("caller", self.person), rest.pop("source", "api"), command, **rest)

    def answer(self, submissions: Sequence[Submission]) -> list[Receipt | DomainError]:
        """Commit submissions; return what each submitter is told."""

        async def commit() -> list[Receipt | DomainError]:
            async with await _connected(self.settings) as connection:
                return await accept(connection, submissions)

        with ThreadPoolExecutor(1) as thread:  # the test may have a running event loop of its own
            return thread.submit(lambda: asyncio.run(commit())).result()

    def accept(self, *commands: Command, **rest: Any) -> list[Receipt]:
        """Commit commands that must be accepted; return their receipts."""
        return [_accepted(answer) for answer in self.answer([self.submission(each, **rest) for each in commands])]

    def create(self, title: str = "Call Jane", **members: Any) -> str:
        """Create a task, execute it, and return its id."""
        (receipt,) = self.accept(CreateTask(title=title, **members))
        self.execute(receipt)
        return receipt.target_id

    def update(self, task_id: str, *statuses: str | None, **rest: Any) -> list[Receipt]:
        """Accept one update of the task for each status."""
        commands = [UpdateTask.model_validate({"task_id": task_id, "status": status}) for status in statuses]
        return self.accept(*commands, **rest)

    def execution(self, connection: Connection[Any] | None = None, *, limit: int = 200) -> Execution:
        return Execution(connection or self.connection, limit=limit, max_attempts=self.settings.max_attempts)

    def batch(self, *receipts: Receipt) -> Batch:
        return {self.tenant_id: [receipt.request_id for receipt in receipts]}

    def execute(self, *receipts: Receipt) -> None:
        """Execute requests to the end, as a worker does."""
        left = self.batch(*receipts)
        while left:
            left = self.execution().run(left).left

    def run_alone(self, batch: Batch, connection: Connection[Any] | None = None) -> Executed:
        """Execute the head of a line as a worker does that suspects it."""
        execution = self.execution(connection)
        with turn(self.settings, batch):
            return execution.run_alone(batch, execution.count_run(batch))

    def link(self, type_: str, id_: str) -> None:
        add_resource(self.connection, self.tenant_id, type_, id_, "Jane Doe")

    def task(self, task_id: str) -> Task:
        found = self.tasks(task_id)
        assert found, f"there is no task {task_id}"
        return found[0]

    def tasks(self, *task_ids: str) -> list[Task]:
        """Return those of the tasks that exist; all of the workspace if none is named."""
        with self.connection.cursor(row_factory=class_row(Task)) as cursor:
            return cursor.execute(
                f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks WHERE tenant_id = %s"
                " AND (%s::text[] = '{}' OR id = ANY(%s)) ORDER BY id",
                (self.tenant_id, list(task_ids), list(task_ids)),
            ).fetchall()

    def request(self, receipt: Receipt) -> Request:
        with self.connection.cursor(row_factory=class_row(Request)) as cursor:
            found = cursor.execute(
                "SELECT id, status, command, target_type, target_id, accepted_at, finished_at, attempts, error, seq"
                " FROM requests WHERE (tenant_id, id) = (%s, %s)",
                (self.tenant_id, receipt.request_id),
            ).fetchone()
        assert found, f"there is no request {receipt.request_id}"
        return found

    def statuses(self, receipts: Sequence[Receipt]) -> list[str]:
        return [self.request(receipt).status for receipt in receipts]

    def events(self, task_id: str | None = None) -> list[AuditEvent]:
        """Return the audit events, of one task or of all, in the order in which they took effect."""
        with self.connection.cursor(row_factory=class_row(AuditEvent)) as cursor:
            return cursor.execute(
                f"SELECT {', '.join(AuditEvent.__dataclass_fields__)} FROM audit_events"
                " WHERE tenant_id = %s AND (%s::text IS NULL OR target_id = %s) ORDER BY seq",
                (self.tenant_id, task_id, task_id),
            ).fetchall()

    def event(self, receipt: Receipt) -> AuditEvent:
        (event,) = [event for event in self.events() if event.request_id == receipt.request_id]
        return event


async def _connected(settings: Settings) -> AsyncConnection[Any]:
    """Connect, again and again where many do so at once and a slow machine does not keep up."""
    while True:
        with contextlib.suppress(psycopg.errors.ConnectionTimeout):
            return await connect_async(settings)


def _accepted(answer: Receipt | DomainError) -> Receipt:
    if isinstance(answer, DomainError):
        raise answer
    return answer
