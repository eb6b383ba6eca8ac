"""The tables of tenants, actors and tokens, and who a caller is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKeyConstraint,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db import ID, Row
from core.errors import MissingRequiredScope

ActorType = Literal["user", "agent", "service"]
Scope = Literal[
    "tasks:read",
    "tasks:write",
    "crm:read",
    "crm:write",
    "activity:read",
    "activity:write",
    "audit:read",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ACTOR_TYPES: tuple[ActorType, ...] = get_args(ActorType)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, an agent or a service of the tenant."""

    id: str
    type: ActorType
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for, and what it allows."""

    tenant_id: str
    token_id: str
    actor: Actor
    scopes: frozenset[str]
    expires_at: datetime | None

    def require(self, scope: str) -> None:
        """Raise MissingRequiredScope unless the token includes `scope`."""
        if scope not in self.scopes:
            raise MissingRequiredScope(scope)


class TenantRow(Row):
    """One row of `tenants`: a workspace, the boundary of every read and write."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ActorRow(Row):
    """One row of `actors`."""

    __tablename__ = "actors"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    type: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        CheckConstraint("type IN ('user', 'agent', 'service')", name="type"),
    )


class TokenRow(Row):
    """One row of `tokens`: the SHA-256 of a secret, never the secret."""

    __tablename__ = "tokens"

    tenant_id: Mapped[str] = mapped_column(ID)
    id: Mapped[str] = mapped_column(ID)
    actor_id: Mapped[str] = mapped_column(ID)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "actor_id"], ["actors.tenant_id", "actors.id"]),
        UniqueConstraint("secret_hash"),
    )
