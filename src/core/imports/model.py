"""The tables of imports, and the view of one of them.

States: `receiving` while rows come in, `running` once all are here, then `completed`, `canceled` or `failed`, which
are final. Rows are executed from the first chunk on, while later ones are still received.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Identity, Index, PrimaryKeyConstraint, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row
from core.tenancy.model import ActorType

ImportFormat = Literal["csv", "ndjson"]
ImportState = Literal["receiving", "running", "completed", "canceled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An import as callers see it; times are UTC.

    Every row that was read is counted in `rows` and in one of `rejected` (not acceptable), `replayed` (accepted
    before), `queued`, `succeeded`, `failed` and `canceled`; a dry run queues none. `bytes_received` is how much of the
    file is committed, and where an upload that was cut goes on. `rate` is rows executed per second.
    """

    id: str
    state: ImportState
    format: ImportFormat
    dry_run: bool
    columns: list[str] | None
    rows: int
    rejected: int
    replayed: int
    queued: int
    succeeded: int
    failed: int
    canceled: int
    rate: float
    bytes_received: int
    error: str | None
    actor_id: str
    actor_type: ActorType
    actor_name: str
    created_at: datetime
    received_at: datetime | None
    finished_at: datetime | None


class ImportRow(Row):
    """One row of `imports`.

    `columns` is the header of a CSV file, `lines` how many lines are committed. `accepted` rows have become requests,
    of which `sent` are in messages, those up to the line `sent_line`. What was sent up to `marked_line` was sent before
    `marked_at`: the feeder's way to tell a lost message from a late one.
    """

    __tablename__ = "imports"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    idempotency_key: Mapped[str | None] = mapped_column(ID)
    state: Mapped[str] = mapped_column(server_default="receiving")
    format: Mapped[str]
    dry_run: Mapped[bool]
    columns: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    actor_id: Mapped[str] = mapped_column(ID)
    actor_type: Mapped[str]
    actor_name: Mapped[str]
    bytes_received: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lines: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rejected: Mapped[int] = mapped_column(BigInteger, server_default="0")
    replayed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    accepted: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sent: Mapped[int] = mapped_column(BigInteger, server_default="0")
    succeeded: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    canceled: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sent_line: Mapped[int] = mapped_column(BigInteger, server_default="0")
    marked_line: Mapped[int] = mapped_column(BigInteger, server_default="0")
    marked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    touched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        CheckConstraint("state IN ('receiving', 'running', 'completed', 'canceled', 'failed')", name="state"),
        CheckConstraint("format IN ('csv', 'ndjson')", name="format"),
        CheckConstraint(
            "state = 'canceled' OR (finished_at IS NOT NULL) = (state IN ('completed', 'failed'))", name="finished_at"
        ),
        CheckConstraint("(error IS NOT NULL) = (state = 'failed')", name="error"),
        Index(
            "imports_by_idempotency_key",
            "tenant_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("imports_unfinished", "id", postgresql_where=text("finished_at IS NULL")),
    )


class ImportRejectRow(Row):
    """One row of `import_rejects`: a line that is not acceptable, its values as a JSON text, and why."""

    __tablename__ = "import_rejects"

    tenant_id: Mapped[str] = mapped_column(ID)
    import_id: Mapped[str] = mapped_column(ID)
    line: Mapped[int] = mapped_column(BigInteger)
    values: Mapped[str]
    field: Mapped[str | None]
    error: Mapped[str]

    __table_args__ = (PrimaryKeyConstraint("tenant_id", "import_id", "line"),)


class ImportTallyRow(Row):
    """One row of `import_tallies`: what one batch made of an import's requests, until the feeder adds it up.

    Batches append here, because all of them at once would queue for the row of the import.
    """

    __tablename__ = "import_tallies"

    tenant_id: Mapped[str] = mapped_column(ID)
    import_id: Mapped[str] = mapped_column(ID)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    succeeded: Mapped[int]
    failed: Mapped[int]

    __table_args__ = (PrimaryKeyConstraint("tenant_id", "import_id", "number"),)
