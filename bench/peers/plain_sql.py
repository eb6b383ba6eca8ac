"""Peer (e), the limit: a file by COPY into a staging table, and from there the same three rows by INSERT ... SELECT."""

from pathlib import Path

import psycopg

STAGE = """
    CREATE TEMPORARY TABLE staging (
        n bigint GENERATED ALWAYS AS IDENTITY, title text, description text, due_at timestamptz, assignee_id text
    )
"""
COPY = "COPY staging (title, description, due_at, assignee_id) FROM STDIN (FORMAT csv, HEADER)"
TASKS = """
    INSERT INTO tasks (tenant_id, id, title, description, status, due_at, assignee_id, source, last_agent_actor_id,
        created_at, updated_at, revision)
    SELECT 'ten_bench', 'task_' || lpad(n::text, 26, '0'), title, description, 'open', due_at, assignee_id, 'api',
        'agt_1', now(), now(), 1
    FROM staging
"""
REQUESTS = """
    INSERT INTO requests (tenant_id, id, lane, command, payload, target_type, target_id, actor_id, actor_type,
        actor_name, source, idempotency_key, fingerprint, status, attempts, finished_at, import_id, import_line)
    SELECT 'ten_bench', 'req_' || lpad(n::text, 26, '0'), 'bulk', 'task.create',
        jsonb_build_object('title', title, 'description', description, 'due_at', due_at, 'assignee_id', assignee_id),
        'task', 'task_' || lpad(n::text, 26, '0'), 'agt_1', 'agent', 'Bench agent', 'api',
        'row:' || lpad(n::text, 36, '0'), sha256(title::bytea), 'succeeded', 1, now(), 'imp_1', n
    FROM staging
"""
EVENTS = """
    INSERT INTO audit_events (tenant_id, id, seq, occurred_at, action, outcome, actor_id, actor_type, actor_name,
        source, target_type, target_id, new_status, requested_status, request_id)
    SELECT 'ten_bench', 'aud_' || lpad(n::text, 26, '0'), nextval('requests_seq'), now(), 'task.create', 'applied',
        'agt_1', 'agent', 'Bench agent', 'api', 'task', 'task_' || lpad(n::text, 26, '0'), 'open', 'open',
        'req_' || lpad(n::text, 26, '0')
    FROM staging
"""


def load(database_url: str, file: Path) -> None:
    """Write the rows of a CSV file in one transaction."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(STAGE)
        with file.open("rb") as rows, cursor.copy(COPY) as staging:
            while piece := rows.read(1 << 18):
                staging.write(piece)
        for statement in (TASKS, REQUESTS, EVENTS):
            cursor.execute(statement)
