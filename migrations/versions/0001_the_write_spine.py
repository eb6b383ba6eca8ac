"""The write spine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

ID = sa.Text(collation="C")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("CREATE SEQUENCE requests_seq")
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("actor_type", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target_type", sa.Text(), nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("previous_status", sa.Text(), nullable=True),
        sa.Column("new_status", sa.Text(), nullable=True),
        sa.Column("requested_status", sa.Text(), nullable=True),
        sa.Column("linked_resource_type", sa.Text(), nullable=True),
        sa.Column("linked_resource_id", ID, nullable=True),
        sa.Column("request_id", ID, nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.CheckConstraint("(error IS NOT NULL) = (outcome = 'failed')", name="error"),
        sa.CheckConstraint("outcome IN ('applied', 'unchanged', 'failed')", name="outcome"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="audit_events_pkey"),
    )
    op.create_index("audit_events_by_target", "audit_events", ["tenant_id", "target_type", "target_id", "seq"])
    op.create_index("audit_events_by_time", "audit_events", ["tenant_id", "occurred_at", "seq"])
    op.create_table(
        "requests",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("nextval('requests_seq')"), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("target_type", sa.Text(), nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("actor_type", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("idempotency_key", ID, nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", TIME, server_default=sa.text("now()"), nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("import_id", ID, nullable=True),
        sa.Column("import_line", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(error IS NOT NULL) = (status = 'failed')", name="error"),
        sa.CheckConstraint("(finished_at IS NULL) = (status = 'queued')", name="finished_at"),
        sa.CheckConstraint("lane IN ('interactive', 'bulk')", name="lane"),
        sa.CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        sa.CheckConstraint("status IN ('queued', 'succeeded', 'failed')", name="status"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="requests_pkey"),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0.01,
            "autovacuum_analyze_scale_factor": 0.01,
        },
    )
    op.create_index(
        "requests_by_idempotency_key",
        "requests",
        ["tenant_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "requests_queued_by_import",
        "requests",
        ["tenant_id", "import_id", "import_line"],
        postgresql_where=sa.text("import_id IS NOT NULL AND status = 'queued'"),
    )
    op.create_index(
        "requests_queued_by_lane",
        "requests",
        ["lane", "sent_at"],
        postgresql_where=sa.text("finished_at IS NULL AND sent_at IS NOT NULL"),
    )
    op.create_index(
        "requests_queued_by_target",
        "requests",
        ["tenant_id", "target_type", "target_id", "seq"],
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_table(
        "resources",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("type", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("type IN ('contact', 'company', 'deal', 'support_ticket')", name="type"),
        sa.PrimaryKeyConstraint("tenant_id", "type", "id", name="resources_pkey"),
    )
    op.create_table(
        "tasks",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("assignee_id", ID, nullable=True),
        sa.Column("related_resource_type", sa.Text(), nullable=True),
        sa.Column("related_resource_id", ID, nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("last_agent_actor_id", ID, nullable=True),
        sa.Column("completed_note", sa.Text(), nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("(completed_at IS NOT NULL) = (status = 'completed')", name="completed_at"),
        sa.CheckConstraint("completed_note IS NULL OR status = 'completed'", name="completed_note"),
        sa.CheckConstraint(
            "related_resource_type IN ('contact', 'company', 'deal', 'support_ticket')",
            name="related_resource_type",
        ),
        sa.CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        sa.CheckConstraint("status IN ('open', 'completed', 'canceled')", name="status"),
        sa.CheckConstraint("(related_resource_type IS NULL) = (related_resource_id IS NULL)", name="related_resource"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="tasks_pkey"),
    )
    op.create_index(
        "tasks_by_assignee",
        "tasks",
        ["tenant_id", "assignee_id", "id"],
        postgresql_where=sa.text("assignee_id IS NOT NULL"),
    )
    op.create_index(
        "tasks_by_due_at", "tasks", ["tenant_id", "due_at", "id"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "tasks_by_related_resource",
        "tasks",
        ["tenant_id", "related_resource_type", "related_resource_id", "id"],
        postgresql_where=sa.text("related_resource_id IS NOT NULL"),
    )
    op.create_index("tasks_by_source", "tasks", ["tenant_id", "source", "id"])
    op.create_index("tasks_by_status", "tasks", ["tenant_id", "status", "id"])
    op.create_table(
        "tenants",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="tenants_pkey"),
    )
    op.create_table(
        "actors",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("type IN ('user', 'agent', 'service')", name="type"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="actors_tenant_id_fkey"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="actors_pkey"),
    )
    op.create_table(
        "tokens",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "actor_id"], ["actors.tenant_id", "actors.id"], name="tokens_tenant_id_actor_id_fkey"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="tokens_pkey"),
        sa.UniqueConstraint("secret_hash", name="tokens_secret_hash_key"),
    )
    for table in ("audit_events", "requests", "resources", "tasks", "actors", "tokens"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN tenant_id SET STATISTICS 0")  # see core.db


def downgrade() -> None:
    for table in ("audit_events", "requests", "resources", "tasks", "tokens", "actors", "tenants"):
        op.drop_table(table)
    op.execute("DROP SEQUENCE requests_seq")
