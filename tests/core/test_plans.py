"""The statements of the spine find rows by key, however many were ever finished."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import uuid4

import pytest
from psycopg import AsyncConnection, Connection

import core.queued
from core.acceptance import Receipt, Submission, accept
from core.audit import ListAuditEvents, list_audit_events
from core.breaker import Breaker
from core.db import connect, connect_async
from core.errors import IdempotencyConflict
from core.queued import turn
from core.reader import Reader
from core.reconciler import reconcile
from core.requests import get_request_by_key, get_requests, list_pending
from core.settings import Settings
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.queries import ListTasks, get_task, get_tasks, list_tasks
from core.tenancy.model import Caller
from tests.core.explaining import PLANS, AsyncExplainingCursor, ExplainingCursor, Plan
from tests.lanes import Lanes
from tests.workspaces import Workspace

_CROWD = f"ten_crowd_{uuid4().hex}"
_FINISHED = 200_000
_TASKS = 50_000
_CALL = CreateTask(title="Call Jane")

_CROWD_STATEMENTS: list[LiteralString] = [
    """
    INSERT INTO requests (tenant_id, id, lane, command, payload, target_type, target_id, actor_id, actor_type,
        actor_name, source, idempotency_key, fingerprint, status, attempts, finished_at)
    SELECT %(tenant)s, 'req_' || n, CASE WHEN n %% 2 = 0 THEN 'bulk' ELSE 'interactive' END, 'task.create',
        '{"title": "x"}', 'task', 'task_' || n %% %(tasks)s, 'usr_1', 'user', 'Pat Person', 'api',
        CASE WHEN n %% 4 = 0 THEN 'key ' || n END, '', 'succeeded', 1, now()
    FROM generate_series(1, %(finished)s) n
    """,
    """
    INSERT INTO audit_events (tenant_id, id, seq, occurred_at, action, outcome, actor_id, actor_type, actor_name,
        source, target_type, target_id, request_id)
    SELECT %(tenant)s, 'aud_' || n, n, now() - n * interval '1 second', 'task.create', 'applied', 'usr_1', 'user',
        'Pat Person', 'api', 'task', 'task_' || n %% 1000, 'req_' || n
    FROM generate_series(1, %(tasks)s) n
    """,
    """
    INSERT INTO tasks (tenant_id, id, title, status, source, created_at, updated_at, revision, assignee_id, due_at,
        related_resource_type, related_resource_id)
    SELECT %(tenant)s, 'task_' || lpad(n::text, 8, '0'), 'x', CASE WHEN n %% 3 = 0 THEN 'open' ELSE 'canceled' END,
        'api', now(), now(), 1, 'usr_' || n %% 100, now() + n * interval '1 minute', 'contact', 'con_' || n %% 100
    FROM generate_series(1, %(tasks)s) n
    """,
]

# Sent in the far future, so that no test sends them again.
_QUEUE: LiteralString = """
    INSERT INTO requests (tenant_id, id, lane, command, payload, target_type, target_id, actor_id, actor_type,
        actor_name, source, fingerprint, sent_at)
    SELECT %(tenant)s, 'req_queued_' || n, 'interactive', 'task.create', '{"title": "x"}', 'task',
        'task_queued_' || n %% 2000, 'usr_1', 'user', 'Pat Person', 'api', '', '2999-01-01'
    FROM generate_series(1, 20000) n
"""


@pytest.fixture(scope="module")
def crowd(settings: Settings) -> Iterator[Connection[Any]]:
    """A tenant that grew overnight, beside many small ones.

    It has so many requests, most of them finished, tasks and events that reading all of them would show. Statistics
    were taken at the worst time, just before all that was committed: its pages count, and its rows do not.
    """
    with connect(settings) as connection:
        connection.execute("SET statement_timeout = '60s'")
        for statement in _CROWD_STATEMENTS:
            for number in range(300):
                connection.execute(statement, {"tenant": f"{_CROWD}_{number}", "finished": 3, "tasks": 3})
        with connection.transaction(), connect(settings) as other:
            for statement in (*_CROWD_STATEMENTS, _QUEUE):
                connection.execute(statement, {"tenant": _CROWD, "finished": _FINISHED, "tasks": _TASKS})
            other.execute("ANALYZE requests, tasks, audit_events")
        yield connection


@pytest.fixture(scope="module", params=["misled", "stale", "fresh"])
def statistics(request: pytest.FixtureRequest, crowd: Connection[Any]) -> None:
    """What Postgres believes: that there is next to nothing, that all tenants are small, and then the truth."""
    if request.param == "stale":
        crowd.execute("VACUUM requests, tasks, audit_events")
    if request.param == "fresh":
        crowd.execute("ANALYZE requests, tasks, audit_events")


# A front end may sort, since it filters by what has no index in the order of the page; that costs it the certainty.
_not_misled = pytest.mark.parametrize("statistics", ["stale", "fresh"], indirect=True, scope="module")


def _assert_by_key(plans: list[Plan], indexes: set[str], most: int = 1_000) -> None:
    """Assert that these indexes were used, and that no statement read a table from end to end."""
    assert plans
    for plan in plans:
        for scan in plan.scans:
            assert scan.node != "Seq Scan", plan
            assert scan.rows <= most, plan
    assert indexes <= {scan.index for plan in plans for scan in plan.scans}


def test_no_table_keeps_statistics_of_its_tenants(connection: Connection[Any]) -> None:
    kept = connection.execute(
        "SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attname = 'tenant_id'"
        " AND attstattarget IS DISTINCT FROM 0"
    ).fetchall()

    assert kept == []


def _lines(workspace: Workspace) -> list[Receipt]:
    created = workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(40)])
    return created + workspace.accept(*[UpdateTask(task_id=each.target_id, status="completed") for each in created])


@pytest.mark.usefixtures("statistics")
def test_a_batch_is_locked_loaded_written_and_finished_by_key(workspace: Workspace, settings: Settings) -> None:
    workspace.link("contact", "con_1")
    (linked,) = workspace.accept(CreateTask(title="x", related_resource_type="contact", related_resource_id="con_1"))
    receipts = [linked, *_lines(workspace)]
    PLANS.clear()

    with connect(settings, worker=True) as connection:
        connection.cursor_factory = ExplainingCursor
        workspace.execution(connection).run(workspace.batch(*receipts))

    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert [plan.statement.split()[0] for plan in PLANS] == [
        *("SELECT", "SELECT", "SELECT", "SELECT"),
        *("INSERT", "INSERT", "UPDATE"),
    ]
    _assert_by_key(PLANS, {"requests_queued_by_target", "requests_pkey", "tasks_pkey", "resources_pkey"})


@pytest.mark.usefixtures("statistics")
def test_a_long_line_is_cut_and_put_off_by_key(workspace: Workspace, settings: Settings) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, *["completed", "open"] * 500)
    PLANS.clear()

    with connect(settings, worker=True) as connection:
        connection.cursor_factory = ExplainingCursor
        executed = workspace.execution(connection, limit=10).run(workspace.batch(*receipts[:200]))

    assert executed.left == workspace.batch(*receipts[10:200])
    _assert_by_key(PLANS, {"requests_queued_by_target", "requests_pkey", "tasks_pkey"})


@pytest.mark.usefixtures("statistics")
def test_a_suspect_takes_its_turn_and_is_counted_by_key(
    workspace: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt, *_) = _lines(workspace)
    connection = connect(settings, worker=True)
    connection.cursor_factory = ExplainingCursor
    monkeypatch.setattr(core.queued, "connect", lambda *_, **__: connection)
    PLANS.clear()

    with turn(settings, workspace.batch(receipt)):
        workspace.execution(connection).count_run(workspace.batch(receipt))

    _assert_by_key(PLANS, {"requests_queued_by_target", "requests_pkey"})


@pytest.mark.usefixtures("statistics")
def test_the_reconciler_claims_by_its_own_index(workspace: Workspace, settings: Settings, lanes: Lanes) -> None:
    receipts = _lines(workspace)
    workspace.connection.execute(
        "UPDATE requests SET sent_at = '2001-01-01' WHERE tenant_id = %s", (workspace.tenant_id,)
    )
    PLANS.clear()

    with connect(settings, worker=True) as connection:
        connection.cursor_factory = ExplainingCursor
        reconcile(connection, settings.model_copy(update={"reconcile_batch": 50}))

    assert set(lanes.named("interactive", workspace.tenant_id)) <= {receipt.request_id for receipt in receipts}
    _assert_by_key(PLANS, {"requests_queued_by_lane", "requests_pkey"}, most=5_000)


_Read = Callable[[AsyncConnection[Any]], Awaitable[object]]
_SOON = datetime(2100, 1, 1, tzinfo=UTC)

_READS: list[tuple[str, _Read, str]] = [
    ("a request", lambda c: get_requests(c, _CROWD, ["req_77"]), "requests_pkey"),
    ("many requests", lambda c: get_requests(c, _CROWD, [f"req_{n}" for n in range(900)]), "requests_pkey"),
    ("a request by its key", lambda c: get_request_by_key(c, _CROWD, "key 400"), "requests_by_idempotency_key"),
    ("what is pending", lambda c: list_pending(c, _CROWD, "task_77"), "requests_queued_by_target"),
    ("a task", lambda c: get_task(c, _CROWD, "task_00000077"), "tasks_pkey"),
    ("many tasks", lambda c: get_tasks(c, _CROWD, [f"task_{n:08}" for n in range(900)]), "tasks_pkey"),
    ("all tasks", lambda c: list_tasks(c, _CROWD, ListTasks()), "tasks_pkey"),
    ("open tasks", lambda c: list_tasks(c, _CROWD, ListTasks(status="open")), "tasks_by_status"),
    ("completed tasks", lambda c: list_tasks(c, _CROWD, ListTasks(status="completed")), "tasks_by_status"),
    ("an assignee's tasks", lambda c: list_tasks(c, _CROWD, ListTasks(assignee_id="usr_7")), "tasks_by_assignee"),
    ("tasks due soon", lambda c: list_tasks(c, _CROWD, ListTasks(due_before=_SOON)), "tasks_by_due_at"),
    (
        "a contact's tasks",
        lambda c: list_tasks(c, _CROWD, ListTasks(related_resource_type="contact", related_resource_id="con_7")),
        "tasks_by_related_resource",
    ),
    ("tasks by MCP", lambda c: list_tasks(c, _CROWD, ListTasks(), source="mcp"), "tasks_by_source"),
    ("the trail", lambda c: list_audit_events(c, _CROWD, ListAuditEvents()), "audit_events_by_time"),
    (
        "a task's trail",
        lambda c: list_audit_events(c, _CROWD, ListAuditEvents(task_id="task_7")),
        "audit_events_by_target",
    ),
    (
        "a request's event",
        lambda c: list_audit_events(c, _CROWD, ListAuditEvents(request_id="req_7")),
        "audit_events_pkey",
    ),
]


@_not_misled
@pytest.mark.usefixtures("statistics")
@pytest.mark.parametrize(("read", "index"), [each[1:] for each in _READS], ids=[each[0] for each in _READS])
async def test_a_read_goes_by_its_index(settings: Settings, read: _Read, index: str) -> None:
    async def explained(connection: AsyncConnection[Any]) -> None:
        connection.cursor_factory = AsyncExplainingCursor
        await read(connection)

    reader = Reader(settings, Breaker(settings))
    PLANS.clear()

    await reader.run(explained)
    await reader.close()

    _assert_by_key(PLANS, {index})


@_not_misled
@pytest.mark.usefixtures("statistics")
async def test_known_keys_are_found_by_their_index(settings: Settings, person: Caller) -> None:
    caller = replace(person, tenant_id=_CROWD)
    repeated = [Submission(caller, "api", _CALL, f"key {4 * number}") for number in range(1, 1_001)]
    PLANS.clear()

    async with await connect_async(settings) as connection:
        connection.cursor_factory = AsyncExplainingCursor
        await connection.execute("BEGIN")  # what is explained is done
        answers = await accept(connection, repeated)
        await connection.rollback()

    assert {type(answer) for answer in answers} == {IdempotencyConflict}
    _assert_by_key(PLANS, {"requests_by_idempotency_key"})
