"""`baton tenant`: workspaces."""

import re
import secrets
import unicodedata

import click

from cli.database import database
from cli.exits import Failure
from cli.tables import as_json, json_option, print_table
from core.tenancy.queries import Tenant, create_tenant, list_tenants

_ID = re.compile(r"ten_[a-z0-9_]{1,60}")
_LONGEST_NAME = 40


@click.group()
def tenant() -> None:
    """Make and list workspaces. A workspace holds everything; nothing is seen across its border."""


@tenant.command("create")
@click.argument("name")
@click.option("--id", "tenant_id", help="ten_ and up to 60 of a-z, 0-9 and _; made from NAME by default.")
@json_option
def create(name: str, tenant_id: str | None, json: bool) -> None:
    """Make a workspace called NAME and print its id."""
    if not name.strip():
        raise click.BadParameter("a workspace needs a name.", param_hint="NAME")
    chosen = tenant_id or _id_from(name)
    if not _ID.fullmatch(chosen):
        raise click.BadParameter(f"{chosen!r} is not ten_ and 1 to 60 of a-z, 0-9 and _.", param_hint="--id")
    with database() as connection:
        if not create_tenant(connection, chosen, name):
            raise Failure(f"There is a workspace {chosen} already. Choose another id with --id.")
    click.echo(as_json({"id": chosen, "name": name}) if json else chosen)


@tenant.command("list")
@json_option
def list_(json: bool) -> None:
    """List the workspaces, oldest first."""
    with database() as connection:
        tenants = list_tenants(connection)
    if json:
        click.echo(as_json(tenants))
    else:
        print_table(Tenant, tenants)


def _id_from(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain)[:_LONGEST_NAME].strip("_")
    return f"ten_{words or secrets.token_hex(6)}"
