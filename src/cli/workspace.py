"""The demo workspace: a person, an agent, their tokens, and the contact of the product's own example."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from cli.database import database
from cli.files import write_secret
from core.crm.queries import add_resource
from core.db import connect_async
from core.settings import Settings
from core.tenancy.model import SCOPES, Actor, Caller
from core.tenancy.queries import create_tenant, create_token, get_caller

TENANT = "ten_demo"
PERSON = Actor("usr_demo", "user", "Demo person")
AGENT = Actor("agt_demo", "agent", "Demo agent")
AGENT_SCOPES = ("crm:read", "tasks:read", "tasks:write", "activity:write")
"""What tasks-module.txt recommends for agents' follow-up workflows."""

_JANE = ("contact", "con_123", "Jane Doe")
_MORE = (
    ("contact", "con_124", "Amir Haddad"),
    ("contact", "con_125", "Mei Tanaka"),
    ("contact", "con_126", "Lucía Fernández"),
    ("company", "com_201", "Northwind Logistics"),
    ("company", "com_202", "Halden Robotics"),
    ("deal", "deal_301", "Northwind: 40 seats, annual"),
    ("deal", "deal_302", "Halden: pilot to rollout"),
    ("support_ticket", "tic_401", "Export stops after 10,000 rows"),
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What `tokens.json` holds: the API's URL and a secret for each actor."""

    url: str
    person: str
    agent: str


def prepare_workspace(settings: Settings, file: Path, url: str, *, demo: bool) -> Tokens:
    """Make what is missing of the demo workspace and keep working tokens in `file`.

    Secrets that work already stay; `demo` adds sample contacts, companies, deals and a ticket. Raises Failure.
    """
    person, agent = _known_secrets(file)
    with database() as connection:
        create_tenant(connection, TENANT, "Demo workspace")
        for type_, id_, name in (_JANE, *(_MORE if demo else ())):
            add_resource(connection, TENANT, type_, id_, name)
        tokens = Tokens(
            url,
            _working(settings, person, PERSON, SCOPES) or _new(connection, PERSON, SCOPES),
            _working(settings, agent, AGENT, AGENT_SCOPES) or _new(connection, AGENT, AGENT_SCOPES),
        )
    members = {"url": tokens.url, "person": tokens.person, "agent": tokens.agent}
    write_secret(file, json.dumps(members, indent=2) + "\n")
    return tokens


def _known_secrets(file: Path) -> tuple[str, str]:
    try:
        known = json.loads(file.read_text())
        return str(known["person"]), str(known["agent"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _new(connection: Connection[TupleRow], actor: Actor, scopes: Sequence[str]) -> str:
    return create_token(connection, TENANT, actor, list(scopes))[1]


def _working(settings: Settings, secret: str, actor: Actor, scopes: Sequence[str]) -> str | None:
    """Return the secret if the database knows it for this actor, with all these scopes."""
    caller = asyncio.run(_caller(settings, secret))
    if caller is None or caller.tenant_id != TENANT or caller.actor.id != actor.id:
        return None
    return secret if caller.scopes.issuperset(scopes) else None


async def _caller(settings: Settings, secret: str) -> Caller | None:
    async with await connect_async(settings) as connection:
        return await get_caller(connection, secret)
