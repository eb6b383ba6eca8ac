"""Tokens: shown once, stored as a hash, and good until they expire or are revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, Connection

from core.errors import MissingRequiredScope, ResourceNotFound, ValidationFailed
from core.tenancy.model import Actor, Caller
from core.tenancy.queries import (
    create_tenant,
    create_token,
    get_caller,
    list_tenants,
    list_tokens,
    revoke_token,
    secret_hash,
)

_ANN = Actor("agt_1", "agent", "Ann Agent")
_PAT = Actor("usr_1", "user", "Pat Person")
_HOUR = timedelta(hours=1)


async def test_a_secret_speaks_for_its_actor_with_its_scopes(
    connection: Connection[Any], async_connection: AsyncConnection[Any], tenant: str
) -> None:
    expires_at = datetime.now(UTC) + _HOUR
    token_id, secret = create_token(connection, tenant, _ANN, ["tasks:read"], expires_at)

    caller = await get_caller(async_connection, secret)

    assert caller == Caller(tenant, token_id, _ANN, frozenset({"tasks:read"}), expires_at)


async def test_a_secret_that_is_unknown_expired_or_revoked_speaks_for_nobody(
    connection: Connection[Any], async_connection: AsyncConnection[Any], tenant: str
) -> None:
    _, expired = create_token(connection, tenant, _ANN, ["tasks:read"], datetime.now(UTC) - _HOUR)
    revoked_id, revoked = create_token(connection, tenant, _ANN, ["tasks:read"])
    _, good = create_token(connection, tenant, _ANN, ["tasks:read"])

    assert revoke_token(connection, revoked_id)

    for secret in ("baton_unknown", "", expired, revoked, good.upper()):
        assert await get_caller(async_connection, secret) is None
    assert await get_caller(async_connection, good) is not None


def test_a_secret_is_stored_as_its_hash_alone(connection: Connection[Any], tenant: str) -> None:
    token_id, secret = create_token(connection, tenant, _ANN, [])

    row = connection.execute("SELECT t::text, t.secret_hash FROM tokens t WHERE id = %s", (token_id,)).fetchone()

    assert row is not None
    assert secret not in row[0]
    assert secret.removeprefix("baton_") not in row[0]
    assert bytes(row[1]) == secret_hash(secret)


def test_every_secret_is_another_one(connection: Connection[Any], tenant: str) -> None:
    made = [create_token(connection, tenant, _ANN, []) for _ in range(5)]

    assert len({secret for _, secret in made}) == len({token_id for token_id, _ in made}) == 5
    assert all(secret.startswith("baton_") and len(secret) > 40 for _, secret in made)


def test_revoking_again_keeps_the_first_time_and_an_unknown_token_cannot_be_revoked(
    connection: Connection[Any], tenant: str
) -> None:
    token_id, _ = create_token(connection, tenant, _ANN, [])
    assert revoke_token(connection, token_id)
    (first,) = list_tokens(connection, tenant)

    assert revoke_token(connection, token_id)

    assert list_tokens(connection, tenant) == [first]
    assert first.revoked_at is not None
    assert not revoke_token(connection, "tok_none")


def test_a_token_needs_a_tenant_that_exists(connection: Connection[Any]) -> None:
    with pytest.raises(ResourceNotFound):
        create_token(connection, "ten_none", _ANN, [])


async def test_an_actor_may_be_renamed_and_never_becomes_another_kind(
    connection: Connection[Any], async_connection: AsyncConnection[Any], tenant: str
) -> None:
    _, secret = create_token(connection, tenant, _ANN, [])
    create_token(connection, tenant, Actor("agt_1", "agent", "Annie"), [])

    with pytest.raises(ValidationFailed):
        create_token(connection, tenant, Actor("agt_1", "user", "Ann"), [])

    caller = await get_caller(async_connection, secret)
    assert caller is not None
    assert caller.actor == Actor("agt_1", "agent", "Annie")
    assert len(list_tokens(connection, tenant)) == 2


async def test_actors_of_one_id_in_two_tenants_are_two(
    connection: Connection[Any], async_connection: AsyncConnection[Any], tenant: str, stranger: Caller
) -> None:
    _, here = create_token(connection, tenant, _PAT, [])
    _, there = create_token(connection, stranger.tenant_id, Actor("usr_1", "service", "Other"), [])

    callers = [await get_caller(async_connection, secret) for secret in (here, there)]

    assert [(caller.tenant_id, caller.actor.type) for caller in callers if caller] == [
        (tenant, "user"),
        (stranger.tenant_id, "service"),
    ]


def test_tokens_are_listed_by_tenant_oldest_first(connection: Connection[Any], tenant: str, stranger: Caller) -> None:
    made = [create_token(connection, tenant, actor, ["tasks:read"])[0] for actor in (_ANN, _PAT, _ANN)]
    elsewhere, _ = create_token(connection, stranger.tenant_id, _PAT, [])

    assert [token.id for token in list_tokens(connection, tenant)] == made
    assert {*made, elsewhere} <= {token.id for token in list_tokens(connection)}


def test_a_tenant_is_made_once(connection: Connection[Any], tenant: str) -> None:
    assert not create_tenant(connection, tenant, "Another name")

    (found,) = [each for each in list_tenants(connection) if each.id == tenant]
    assert found.name != "Another name"


def test_a_caller_without_a_scope_is_told_which(person: Caller) -> None:
    person.require("tasks:write")

    with pytest.raises(MissingRequiredScope) as refused:
        Caller(person.tenant_id, "tok_1", _ANN, frozenset({"tasks:read"}), None).require("tasks:write")

    assert refused.value.extensions == {"required_scope": "tasks:write"}
