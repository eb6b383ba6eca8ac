"""Imports."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.Text(collation="C")
TIME = sa.DateTime(timezone=True)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("idempotency_key", ID, nullable=True),
        sa.Column("state", sa.Text(), server_default="receiving", nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("columns", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("actor_type", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        *map(_count, ("bytes_received", "lines", "rows", "rejected", "replayed", "accepted", "sent")),
        *map(_count, ("succeeded", "failed", "canceled", "sent_line", "marked_line")),
        sa.Column("marked_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("touched_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("received_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.CheckConstraint("(error IS NOT NULL) = (state = 'failed')", name="error"),
        sa.CheckConstraint(
            "state = 'canceled' OR (finished_at IS NOT NULL) = (state IN ('completed', 'failed'))", name="finished_at"
        ),
        sa.CheckConstraint("format IN ('csv', 'ndjson')", name="format"),
        sa.CheckConstraint("state IN ('receiving', 'running', 'completed', 'canceled', 'failed')", name="state"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="imports_pkey"),
    )
    op.create_index(
        "imports_by_idempotency_key",
        "imports",
        ["tenant_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("imports_unfinished", "imports", ["id"], postgresql_where=sa.text("finished_at IS NULL"))
    op.create_table(
        "import_rejects",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("import_id", ID, nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "line", name="import_rejects_pkey"),
    )
    op.create_table(
        "import_tallies",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("import_id", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "number", name="import_tallies_pkey"),
    )
    for table in ("imports", "import_rejects", "import_tallies"):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN tenant_id SET STATISTICS 0")  # see core.db


def downgrade() -> None:
    for table in ("import_tallies", "import_rejects", "imports"):
        op.drop_table(table)
