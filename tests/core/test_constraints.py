"""What the database itself refuses, whatever a release gets wrong."""

from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from core.activity.model import ActivityRow
from core.audit import AuditEventRow
from core.crm.model import ResourceRow
from core.db import Row
from core.imports.model import ImportRejectRow, ImportRow, ImportTallyRow
from core.requests import RequestRow
from core.tasks.model import TaskRow
from core.tenancy.model import ActorRow, TokenRow

_TIME = "2026-11-23T09:30:00Z"
_ERROR = Jsonb({"code": "internal_error"})

_VALID: dict[type[Row], dict[str, Any]] = {
    TaskRow: {
        "id": "task_1",
        "title": "Call Jane",
        "status": "open",
        "source": "api",
        "created_at": _TIME,
        "updated_at": _TIME,
        "revision": 1,
    },
    RequestRow: {
        "id": "req_1",
        "lane": "interactive",
        "command": "task.create",
        "payload": Jsonb({}),
        "target_type": "task",
        "target_id": "task_1",
        "actor_id": "usr_1",
        "actor_type": "user",
        "actor_name": "Pat Person",
        "source": "api",
        "fingerprint": b"x",
    },
    AuditEventRow: {
        "id": "aud_1",
        "seq": 1,
        "occurred_at": _TIME,
        "action": "task.create",
        "outcome": "applied",
        "actor_id": "usr_1",
        "actor_type": "user",
        "actor_name": "Pat Person",
        "source": "api",
        "target_type": "task",
        "target_id": "task_1",
        "request_id": "req_1",
    },
    ActivityRow: {
        "id": "act_1",
        "type": "note",
        "body": "Asked about pricing.",
        "occurred_at": _TIME,
        "source": "api",
        "actor_id": "usr_1",
        "actor_type": "user",
        "actor_name": "Pat Person",
        "created_at": _TIME,
    },
    ResourceRow: {"type": "contact", "id": "con_1", "name": "Jane Doe"},
    ActorRow: {"id": "usr_1", "type": "user", "name": "Pat Person"},
    ImportRow: {
        "id": "imp_1",
        "format": "csv",
        "dry_run": False,
        "actor_id": "usr_1",
        "actor_type": "user",
        "actor_name": "Pat Person",
    },
    ImportRejectRow: {"import_id": "imp_1", "line": 2, "values": "{}", "error": "title: Field required"},
    ImportTallyRow: {"import_id": "imp_1", "succeeded": 1, "failed": 0},
}


def _insert(connection: Connection[Any], row: type[Row], tenant_id: str, values: dict[str, Any]) -> None:
    columns = {"tenant_id": tenant_id} | _VALID[row] | values
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(row.__tablename__),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        ),
        list(columns.values()),
    )


@pytest.mark.parametrize(
    ("row", "values"),
    [
        (TaskRow, {}),
        (TaskRow, {"status": "completed", "completed_at": _TIME, "completed_note": "Jane replied."}),
        (TaskRow, {"related_resource_type": "deal", "related_resource_id": "deal_1"}),
        (RequestRow, {}),
        (RequestRow, {"status": "succeeded", "finished_at": _TIME}),
        (RequestRow, {"status": "failed", "finished_at": _TIME, "error": _ERROR}),
        (AuditEventRow, {}),
        (AuditEventRow, {"outcome": "failed", "error": _ERROR}),
        (ResourceRow, {}),
        (ActivityRow, {}),
        (ActivityRow, {"related_resource_type": "deal", "related_resource_id": "deal_1"}),
        (ActorRow, {}),
        (ImportRow, {}),
        (ImportRow, {"state": "running"}),
        (ImportRow, {"state": "completed", "finished_at": _TIME}),
        (ImportRow, {"state": "canceled"}),
        (ImportRow, {"state": "canceled", "finished_at": _TIME}),
        (ImportRow, {"state": "failed", "finished_at": _TIME, "error": "The upload ended early."}),
        (ImportRejectRow, {}),
        (ImportTallyRow, {}),
    ],
)
def test_a_row_that_makes_sense_is_accepted(
    connection: Connection[Any], tenant: str, row: type[Row], values: dict[str, Any]
) -> None:
    _insert(connection, row, tenant, values)

    found = connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(sql.Identifier(row.__tablename__)), (tenant,)
    ).fetchone()
    assert found == (1,)


_REFUSED: list[tuple[type[Row], str, dict[str, Any]]] = [
    (TaskRow, "status", {"status": "done"}),
    (TaskRow, "completed_at", {"status": "completed"}),
    (TaskRow, "completed_at", {"completed_at": _TIME}),
    (TaskRow, "completed_at", {"status": "canceled", "completed_at": _TIME}),
    (TaskRow, "completed_note", {"completed_note": "Jane replied."}),
    (TaskRow, "related_resource", {"related_resource_type": "contact"}),
    (TaskRow, "related_resource", {"related_resource_id": "con_1"}),
    (TaskRow, "related_resource_type", {"related_resource_type": "lead", "related_resource_id": "lead_1"}),
    (TaskRow, "source", {"source": "console"}),
    (RequestRow, "status", {"status": "running", "finished_at": _TIME}),
    (RequestRow, "finished_at", {"finished_at": _TIME}),
    (RequestRow, "finished_at", {"status": "succeeded"}),
    (RequestRow, "error", {"error": _ERROR}),
    (RequestRow, "error", {"status": "succeeded", "finished_at": _TIME, "error": _ERROR}),
    (RequestRow, "error", {"status": "failed", "finished_at": _TIME}),
    (RequestRow, "lane", {"lane": "express"}),
    (RequestRow, "source", {"source": "console"}),
    (AuditEventRow, "outcome", {"outcome": "done"}),
    (AuditEventRow, "error", {"outcome": "failed"}),
    (AuditEventRow, "error", {"error": _ERROR}),
    (ResourceRow, "type", {"type": "lead"}),
    (ActorRow, "type", {"type": "robot"}),
    (ActivityRow, "type", {"type": "fax"}),
    (ActivityRow, "source", {"source": "console"}),
    (ActivityRow, "related_resource", {"related_resource_type": "contact"}),
    (ActivityRow, "related_resource", {"related_resource_id": "con_1"}),
    (ImportRow, "state", {"state": "paused"}),
    (ImportRow, "format", {"format": "xlsx"}),
    (ImportRow, "finished_at", {"finished_at": _TIME}),
    (ImportRow, "finished_at", {"state": "completed"}),
    (ImportRow, "error", {"error": "The upload ended early."}),
    (ImportRow, "error", {"state": "failed", "finished_at": _TIME}),
]


@pytest.mark.parametrize(("row", "constraint", "values"), _REFUSED)
def test_a_row_that_makes_no_sense_is_refused(
    connection: Connection[Any], tenant: str, row: type[Row], constraint: str, values: dict[str, Any]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        _insert(connection, row, tenant, values)

    assert refused.value.diag.constraint_name == f"{row.__tablename__}_{constraint}_check"


def test_every_check_of_the_schema_is_tried(connection: Connection[Any]) -> None:
    found = connection.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = current_schema()::regnamespace"
    ).fetchall()

    assert sorted(found) == sorted(
        {(row.__tablename__, f"{row.__tablename__}_{name}_check") for row, name, _ in _REFUSED}
    )


def test_a_null_where_none_belongs_is_refused(connection: Connection[Any], tenant: str) -> None:
    for column in _VALID[TaskRow]:
        with pytest.raises(psycopg.errors.NotNullViolation):
            _insert(connection, TaskRow, tenant, {column: None})


def test_tokens_belong_to_an_actor_of_their_tenant(connection: Connection[Any], tenant: str) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(
            f"INSERT INTO {TokenRow.__tablename__} (tenant_id, id, actor_id, secret_hash, scopes)"
            " VALUES (%s, 'tok_1', 'usr_none', %s, '{}')",
            (tenant, tenant.encode()),
        )


@pytest.mark.parametrize("row", [*_VALID, TokenRow])
def test_the_key_of_every_table_begins_with_the_tenant(row: type[Row]) -> None:
    assert next(iter(row.__table__.primary_key)).name == "tenant_id"
