"""How tenants, actors and tokens are made, listed, revoked and looked up."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row

from core.errors import FieldError, ResourceNotFound, ValidationFailed
from core.ids import new_id
from core.tenancy.model import Actor, Caller


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workspace."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known of a token after its secret was shown once."""

    id: str
    tenant_id: str
    actor_id: str
    actor_type: str
    actor_name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def secret_hash(secret: str) -> bytes:
    """Return what is stored and looked up in place of a secret."""
    return sha256(secret.encode()).digest()


def create_tenant(connection: Connection[Any], tenant_id: str, name: str) -> bool:
    """Make a workspace; return False where the id exists already."""
    made = connection.execute(
        "INSERT INTO tenants (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING", (tenant_id, name)
    )
    return made.rowcount == 1


def list_tenants(connection: Connection[Any]) -> list[Tenant]:
    """Return every workspace, oldest first."""
    with connection.cursor(row_factory=class_row(Tenant)) as cursor:
        return cursor.execute("SELECT id, name, created_at FROM tenants ORDER BY created_at, id").fetchall()


def create_token(
    connection: Connection[Any],
    tenant_id: str,
    actor: Actor,
    scopes: list[str],
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """Make a token for an actor, and the actor where it is new; return the token's id and its secret.

    Raises:
        ResourceNotFound: there is no such tenant.
        ValidationFailed: the actor is there already, and of another type.

    """
    with connection.transaction():
        _ensure_actor(connection, tenant_id, actor)
        token_id, secret = new_id("tok"), f"baton_{secrets.token_urlsafe(32)}"
        connection.execute(
            "INSERT INTO tokens (tenant_id, id, actor_id, secret_hash, scopes, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (tenant_id, token_id, actor.id, secret_hash(secret), scopes, expires_at),
        )
    return token_id, secret


def _ensure_actor(connection: Connection[Any], tenant_id: str, actor: Actor) -> None:
    if not connection.execute("SELECT 1 FROM tenants WHERE id = %s", (tenant_id,)).fetchone():
        message = f"There is no tenant {tenant_id}."
        raise ResourceNotFound(message)
    # The name may change; the type says in the audit trail who acts, and never does.
    made = connection.execute(
        "INSERT INTO actors (tenant_id, id, type, name) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name WHERE actors.type = excluded.type",
        (tenant_id, actor.id, actor.type, actor.name),
    )
    if made.rowcount == 0:
        raise ValidationFailed([FieldError("actor_type", f"{actor.id} is there already, and is no {actor.type}")])


def list_tokens(connection: Connection[Any], tenant_id: str | None = None) -> list[Token]:
    """Return the tokens of one workspace, or of all, oldest first."""
    with connection.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(
            "SELECT t.id, t.tenant_id, t.actor_id, a.type AS actor_type, a.name AS actor_name, t.scopes,"
            " t.created_at, t.expires_at, t.revoked_at"
            " FROM tokens t JOIN actors a ON (a.tenant_id, a.id) = (t.tenant_id, t.actor_id)"
            " WHERE %(tenant_id)s::text IS NULL OR t.tenant_id = %(tenant_id)s"
            " ORDER BY t.created_at, t.id",
            {"tenant_id": tenant_id},
        ).fetchall()


def revoke_token(connection: Connection[Any], token_id: str) -> bool:
    """End a token; return False where there is no such token. Revoking again changes nothing."""
    ended = connection.execute("UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s", (token_id,))
    return ended.rowcount == 1


async def get_caller(connection: AsyncConnection[Any], secret: str) -> Caller | None:
    """Return who a secret speaks for; None where it is unknown, revoked or expired."""
    cursor = await connection.execute(
        "SELECT t.tenant_id, t.id, a.id, a.type, a.name, t.scopes, t.expires_at"
        " FROM tokens t JOIN actors a ON (a.tenant_id, a.id) = (t.tenant_id, t.actor_id)"
        " WHERE t.secret_hash = %s AND t.revoked_at IS NULL AND (t.expires_at > now() OR t.expires_at IS NULL)",
        (secret_hash(secret),),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    tenant_id, token_id, actor_id, actor_type, actor_name, scopes, expires_at = row
    return Caller(tenant_id, token_id, Actor(actor_id, actor_type, actor_name), frozenset(scopes), expires_at)
