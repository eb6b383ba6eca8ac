"""Activities."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.Text(collation="C")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "activities",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("related_resource_type", sa.Text(), nullable=True),
        sa.Column("related_resource_id", ID, nullable=True),
        sa.Column("task_id", ID, nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("actor_type", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("type IN ('note', 'email', 'call', 'meeting')", name="type"),
        sa.CheckConstraint("(related_resource_type IS NULL) = (related_resource_id IS NULL)", name="related_resource"),
        sa.CheckConstraint("source IN ('api', 'mcp', 'admin')", name="source"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="activities_pkey"),
    )
    op.create_index("activities_by_time", "activities", ["tenant_id", "occurred_at", "id"])
    op.create_index(
        "activities_by_related_resource",
        "activities",
        ["tenant_id", "related_resource_type", "related_resource_id", "occurred_at", "id"],
        postgresql_where=sa.text("related_resource_id IS NOT NULL"),
    )
    op.create_index(
        "activities_by_task",
        "activities",
        ["tenant_id", "task_id", "occurred_at", "id"],
        postgresql_where=sa.text("task_id IS NOT NULL"),
    )
    op.execute("ALTER TABLE activities ALTER COLUMN tenant_id SET STATISTICS 0")  # see core.db


def downgrade() -> None:
    op.drop_table("activities")
