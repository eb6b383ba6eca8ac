"""The examples of the OpenAPI document."""

from typing import Any

Example = dict[str, Any]

REQUEST_ID = "req_01jd5r8gq4f7qv9x2c3m5n7p9t"
TASK_ID = "task_01jd5r8gq4f7qv9x2c3m5n7p9s"
CREATED_AT = "2026-11-23T14:02:11.482913Z"
COMPLETED_AT = "2026-11-24T08:30:00.120394Z"

TASK: Example = {
    "id": TASK_ID,
    "tenant_id": "ten_demo",
    "title": "Follow up with Jane Doe",
    "description": None,
    "status": "open",
    "due_at": "2026-12-04T09:00:00Z",
    "assignee_id": "usr_demo",
    "related_resource_type": "contact",
    "related_resource_id": "con_123",
    "source": "mcp",
    "last_agent_actor_id": "agt_demo",
    "completed_note": None,
    "completed_at": None,
    "created_at": CREATED_AT,
    "updated_at": CREATED_AT,
    "revision": 1,
}
COMPLETED_TASK: Example = TASK | {
    "status": "completed",
    "completed_note": "Jane confirmed the next call.",
    "completed_at": COMPLETED_AT,
    "updated_at": COMPLETED_AT,
    "revision": 2,
}

CREATE_TASK: Example = {
    "title": "Follow up with Jane Doe",
    "related_resource_type": "contact",
    "related_resource_id": "con_123",
}
UPDATE_TASK: Example = {"status": "completed", "completed_note": "Jane confirmed the next call."}
BATCH: Example = {
    "commands": [
        {"command": "task.create", **CREATE_TASK},
        {"command": "task.update", "task_id": TASK_ID, **UPDATE_TASK},
        {"command": "task.create", "title": " "},
    ]
}
_REFUSED: Example = {
    "error": {
        "type": "urn:baton:problem:validation_failed",
        "title": "The request is not valid",
        "status": 422,
        "detail": "title: Write at least one character that can be seen",
        "instance": "/v1/tasks/batch#/commands/2",
        "code": "validation_failed",
        "request_id": "req_01jd5r8gq4f7qv9x2c3m5n7p9r",
        "retryable": False,
        "field_errors": [{"field": "title", "message": "Write at least one character that can be seen"}],
    }
}
_SECOND: Example = {"task": {"id": TASK_ID}, "request_id": "req_01jd5r8gq4f7qv9x2c3m5n7p9v"}
_COUNTED: Example = {"accepted": 2, "rejected": 1, "request_id": "req_01jd5r8gq4f7qv9x2c3m5n7p9r"}

REQUEST: Example = {
    "id": REQUEST_ID,
    "status": "succeeded",
    "command": "task.update",
    "target": {"type": "task", "id": TASK_ID},
    "task_id": TASK_ID,
    "accepted_at": "2026-11-24T08:30:00.104211Z",
    "finished_at": COMPLETED_AT,
    "attempts": 1,
    "audit_event_id": "aud_01jd5r8gq4f7qv9x2c3m5n7p9t",
}
AUDIT_EVENT: Example = {
    "id": "aud_01jd5r8gq4f7qv9x2c3m5n7p9t",
    "occurred_at": COMPLETED_AT,
    "tenant_id": "ten_demo",
    "action": "task.complete",
    "outcome": "applied",
    "actor": {"id": "agt_demo", "type": "agent", "name": "Demo agent"},
    "source": "mcp",
    "target": {"type": "task", "id": TASK_ID},
    "task_id": TASK_ID,
    "previous_status": "open",
    "new_status": "completed",
    "requested_status": "completed",
    "linked_resource": {"type": "contact", "id": "con_123"},
    "request_id": REQUEST_ID,
    "error": None,
}

IMPORT: Example = {
    "id": "imp_01jd5r8gq4f7qv9x2c3m5n7p9t",
    "state": "running",
    "format": "csv",
    "dry_run": False,
    "rows": 250_000,
    "rejected": 12,
    "replayed": 0,
    "queued": 180_000,
    "succeeded": 69_985,
    "failed": 3,
    "canceled": 0,
    "rate": 11_204.5,
    "bytes_received": 23_411_902,
    "actor": {"id": "usr_demo", "type": "user", "name": "Demo person"},
    "created_at": CREATED_AT,
    "received_at": "2026-11-23T14:02:17.733051Z",
    "finished_at": None,
}
REJECTS = {
    "text/csv": "title,due_at,_line,_error\r\nCall back,tomorrow,17,due_at: Use an RFC 3339 date-time\r\n",
    "application/x-ndjson": '{"title": "", "_line": 17, "_error": "title: Write at least one character"}\n',
}
ROWS = {
    "text/csv": "title,due_at,external_id\nFollow up with Jane Doe,2026-12-04T09:00:00Z,crm-1\n",
    "application/x-ndjson": '{"title": "Follow up with Jane Doe", "external_id": "crm-1"}\n',
}

LOG_ACTIVITY: Example = {
    "type": "email",
    "body": "Jane asked for the pricing of 40 seats.",
    "related_resource_type": "contact",
    "related_resource_id": "con_123",
}
ACTIVITY: Example = {
    "id": "act_01jd5r8gq4f7qv9x2c3m5n7p9t",
    "tenant_id": "ten_demo",
    **LOG_ACTIVITY,
    "occurred_at": CREATED_AT,
    "task_id": None,
    "source": "mcp",
    "actor_id": "agt_demo",
    "actor_type": "agent",
    "actor_name": "Demo agent",
    "created_at": CREATED_AT,
}

# By the names that the document refers to them by: FastAPI leaves null members out of what it writes in place.
ANSWERS: dict[str, Example] = {
    "accepted": {"task": {"id": TASK_ID}, "request_id": REQUEST_ID, "request_status": "queued"},
    "task_created": {"task": TASK, "request_id": REQUEST_ID, "request_status": "succeeded"},
    "task_updated": {"task": COMPLETED_TASK, "request_id": REQUEST_ID, "request_status": "succeeded"},
    "batch_accepted": {
        "results": [
            {"task": {"id": TASK_ID}, "request_id": REQUEST_ID, "request_status": "queued"},
            _SECOND | {"request_status": "queued"},
            _REFUSED,
        ],
        **_COUNTED,
    },
    "batch_settled": {
        "results": [
            {"task": COMPLETED_TASK, "request_id": REQUEST_ID, "request_status": "succeeded"},
            _SECOND | {"task": COMPLETED_TASK, "request_status": "succeeded"},
            _REFUSED,
        ],
        **_COUNTED,
    },
    "task_page": {"tasks": [TASK], "request_id": REQUEST_ID},
    "task_found": {"task": TASK, "pending": [], "request_id": REQUEST_ID},
    "request_found": {"request": REQUEST},
    "activity_accepted": {
        "activity": {"id": ACTIVITY["id"]},
        "request_id": REQUEST_ID,
        "request_status": "queued",
    },
    "activity_logged": {"activity": ACTIVITY, "request_id": REQUEST_ID, "request_status": "succeeded"},
    "activity_page": {"activities": [ACTIVITY], "request_id": REQUEST_ID},
    "import_found": {"import": IMPORT, "request_id": REQUEST_ID},
    "import_page": {"imports": [IMPORT], "request_id": REQUEST_ID},
    "alive": {"status": "ok"},
    "ready": {"status": "ready", "postgres": "ok", "broker": "ok"},
    "not_ready": {"status": "unavailable", "postgres": "unreachable", "broker": "ok"},
    "audit_event_page": {"audit_events": [AUDIT_EVENT], "request_id": REQUEST_ID},
}
