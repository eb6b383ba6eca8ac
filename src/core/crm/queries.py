"""Which resources of the CRM directory exist."""

from collections.abc import Collection
from typing import Any

from psycopg import Connection

from core.records import Target


def existing(connection: Connection[Any], references: Collection[Target]) -> frozenset[Target]:
    """Return those of the references that exist, by one statement."""
    if not references:
        return frozenset()
    tenants, types, ids = (list(column) for column in zip(*references, strict=True))
    rows = connection.execute(
        "SELECT tenant_id, type, id FROM resources"
        " JOIN unnest(%s::text[], %s::text[], %s::text[]) AS named (tenant_id, type, id)"
        " USING (tenant_id, type, id)",
        (tenants, types, ids),
    )
    return frozenset(Target(*row) for row in rows)


def add_resource(connection: Connection[Any], tenant_id: str, type_: str, id_: str, name: str) -> None:
    """Add a resource to the directory; one that is there already stays as it is."""
    connection.execute(
        "INSERT INTO resources (tenant_id, type, id, name) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (tenant_id, type_, id_, name),
    )
