"""The table of resources that tasks link to: contacts, companies, deals and support tickets."""

from datetime import datetime

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row


class ResourceRow(Row):
    """One row of `resources`."""

    __tablename__ = "resources"

    tenant_id: Mapped[str] = mapped_column(ID)
    type: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "type", "id"),
        CheckConstraint("type IN ('contact', 'company', 'deal', 'support_ticket')", name="type"),
    )
