"""`baton token`: who may do what, as whom, until when."""

from datetime import UTC, datetime
from typing import cast

import click
from psycopg import Connection

from cli.database import database
from cli.exits import Failure
from cli.parameters import Expiry, Scopes
from cli.tables import as_json, json_option, print_table
from core.errors import ResourceNotFound, ValidationFailed
from core.tenancy.model import ACTOR_TYPES, Actor, ActorType
from core.tenancy.queries import Token, create_token, list_tokens, revoke_token


@click.group()
def token() -> None:
    """Make, list and revoke access tokens."""


@token.command("create")
@click.option("--tenant", required=True, help="The workspace.")
@click.option("--actor", required=True, help="Id of who acts, such as usr_ada or agt_mailer; made when it is new.")
@click.option("--actor-type", type=click.Choice(ACTOR_TYPES), required=True)
@click.option("--actor-name", help="What the audit trail calls the actor; its id by default.")
@click.option("--scopes", type=Scopes(), required=True, help='Such as "tasks:read tasks:write", or all.')
@click.option(
    "--expires", type=Expiry(), help="30d, 12h, or an instant such as 2027-01-31T00:00:00Z. Never by default."
)
@json_option
def create(
    tenant: str,
    actor: str,
    actor_type: str,
    actor_name: str | None,
    scopes: list[str],
    expires: datetime | None,
    json: bool,
) -> None:
    """Make a token and print its secret, which is shown this once and kept nowhere."""
    with database() as connection:
        name = actor_name or _name_of(connection, tenant, actor) or actor
        acting = Actor(actor, cast("ActorType", actor_type), name)
        try:
            token_id, secret = create_token(connection, tenant, acting, scopes, expires)
        except ResourceNotFound as error:
            raise Failure(f"{error.detail} `baton tenant list` shows those that there are.") from None
        except ValidationFailed as error:
            raise Failure(f"{error.detail}.") from None
    if json:
        click.echo(as_json({"id": token_id, "secret": secret, "scopes": scopes, "expires_at": expires}))
        return
    click.echo(secret)
    ends = f"until {expires.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if expires else "until it is revoked"
    click.echo(f"{token_id} speaks for {actor} in {tenant} {ends}: {' '.join(scopes)}", err=True)


@token.command("list")
@click.option("--tenant", help="Only those of this workspace.")
@json_option
def list_(tenant: str | None, json: bool) -> None:
    """List the tokens, oldest first, without their secrets."""
    with database() as connection:
        tokens = list_tokens(connection, tenant)
    if json:
        click.echo(as_json(tokens))
    else:
        print_table(Token, tokens)


@token.command("revoke")
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """End the token TOKEN_ID, within seconds and for good."""
    with database() as connection:
        if not revoke_token(connection, token_id):
            raise Failure(f"There is no token {token_id}. `baton token list` shows those that there are.")
    click.echo(f"{token_id} is revoked.", err=True)


def _name_of(connection: Connection[tuple[object, ...]], tenant: str, actor: str) -> str | None:
    """Return the name that an actor has already, which another token without a name must not change."""
    known = (token.actor_name for token in list_tokens(connection, tenant) if token.actor_id == actor)
    return next(known, None)
