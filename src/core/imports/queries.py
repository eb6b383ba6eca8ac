"""How imports are read, and how one is canceled."""

import json
from dataclasses import fields
from typing import Annotated, Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row
from pydantic import Field

from core.errors import InvalidStatusTransition, ResourceNotFound
from core.fields import NOT_NULL, IdempotencyKey
from core.imports.model import Import
from core.imports.receiving import Begun
from core.imports.rows import Reject
from core.paging import Keyset, Listing, Page, PageArguments

_NAMES = ", ".join(field.name for field in fields(Import))
_SELECT = f"""
    SELECT {_NAMES} FROM (
        SELECT i.*, i.accepted - t.succeeded - t.failed - i.canceled AS queued, t.succeeded, t.failed,
            round((t.succeeded + t.failed)
                / greatest(extract(epoch FROM coalesce(i.finished_at, now()) - i.created_at), 0.001), 1)::float8 AS rate
        FROM (
            SELECT tenant_id, id, idempotency_key, state, format, dry_run, columns, rows, rejected, replayed, accepted,
                canceled, bytes_received, error, actor_id, actor_type, actor_name, created_at, received_at, finished_at,
                succeeded AS counted_succeeded, failed AS counted_failed
            FROM imports
        ) i CROSS JOIN LATERAL (
            SELECT i.counted_succeeded + coalesce(sum(succeeded), 0) AS succeeded,
                i.counted_failed + coalesce(sum(failed), 0) AS failed
            FROM import_tallies WHERE tenant_id = i.tenant_id AND import_id = i.id
        ) t
    ) imports
"""
_NEWEST_FIRST = Keyset(("id",), descending=True)
_BEGUN: LiteralString = """
    SELECT id, format, dry_run, columns, bytes_received AS offset, lines FROM imports
    WHERE tenant_id = %s AND id = %s AND state = 'receiving'
"""
# What waits in a transaction is counted as it will be; what a row of it becomes afterwards does not matter any more.
_CANCEL: LiteralString = """
    UPDATE imports SET state = 'canceled', finished_at = CASE WHEN dry_run THEN now() END
    WHERE tenant_id = %s AND id = %s AND state IN ('receiving', 'running')
"""
# A reject may be a megabyte: a page ends with the one that reaches it.
_REJECTS: LiteralString = """
    SELECT line, "values", field, error FROM (
        SELECT *, sum(octet_length("values")) OVER (ORDER BY line) - octet_length("values") AS before FROM (
            SELECT line, "values", field, error FROM import_rejects
            WHERE tenant_id = %s AND import_id = %s AND line > %s ORDER BY line LIMIT 1000
        ) behind
    ) page
    WHERE before < 1048576 ORDER BY line
"""


class ListImports(PageArguments):
    """List imports, newest first."""

    idempotency_key: Annotated[IdempotencyKey | None, NOT_NULL] = Field(
        None, description="Restrict results to the import that was begun under this key."
    )


async def list_imports(connection: AsyncConnection[Any], tenant_id: str, arguments: ListImports) -> Page[Import]:
    """Return one page of the tenant's imports.

    Raises:
        ValidationFailed: the cursor is not one of this list.

    """
    key = arguments.idempotency_key
    return await Listing(
        view=Import,
        select=_SELECT,
        conditions=["tenant_id = %(tenant_id)s", *(["idempotency_key = %(key)s"] if key else [])],
        parameters={"tenant_id": tenant_id, **({"key": key} if key else {})},
        keyset=_NEWEST_FIRST,
    ).page(connection, arguments)


async def get_import(connection: AsyncConnection[Any], tenant_id: str, import_id: str) -> Import:
    """Return an import of the tenant; raises ResourceNotFound."""
    found = await _fetch(connection, "id = %s", tenant_id, import_id)
    if found is None:
        message = f"There is no import {import_id} in this workspace."
        raise ResourceNotFound(message)
    return found


async def get_import_by_key(connection: AsyncConnection[Any], tenant_id: str, key: str) -> Import | None:
    """Return the import that was begun under an idempotency key of the tenant."""
    return await _fetch(connection, "idempotency_key = %s", tenant_id, key)


async def get_begun(connection: AsyncConnection[Any], tenant_id: str, import_id: str) -> Begun:
    """Return an import whose file is not here yet.

    Raises:
        ResourceNotFound: the tenant has no such import.
        InvalidStatusTransition: it takes no more rows.

    """
    async with connection.cursor(row_factory=class_row(Begun)) as cursor:
        begun = await (await cursor.execute(_BEGUN, (tenant_id, import_id))).fetchone()
    if begun is None:
        state = (await get_import(connection, tenant_id, import_id)).state
        message = f"The import is {state}, and takes no more rows."
        raise InvalidStatusTransition(message, from_status=state, to_status="receiving")
    return begun


async def cancel_import(connection: AsyncConnection[Any], tenant_id: str, import_id: str) -> Import:
    """End an import: what is not executed yet never will be. Canceling again changes nothing.

    Raises:
        ResourceNotFound: the tenant has no such import.
        InvalidStatusTransition: it is over.

    """
    await connection.execute(_CANCEL, (tenant_id, import_id))
    found = await get_import(connection, tenant_id, import_id)
    if found.state != "canceled":
        message = f"The import is {found.state} already."
        raise InvalidStatusTransition(message, from_status=found.state, to_status="canceled")
    return found


async def list_rejects(
    connection: AsyncConnection[Any], tenant_id: str, import_id: str, *, after: int = 0
) -> list[Reject]:
    """Return the next rejects behind a line, 1,000 or a megabyte at most, in the order of the file."""
    rows = await connection.execute(_REJECTS, (tenant_id, import_id, after))
    return [Reject(line, json.loads(values), field, error) for line, values, field, error in await rows.fetchall()]


async def _fetch(connection: AsyncConnection[Any], condition: LiteralString, *values: str) -> Import | None:
    async with connection.cursor(row_factory=class_row(Import)) as cursor:
        await cursor.execute(_SELECT + " WHERE tenant_id = %s AND " + condition, values)
        return await cursor.fetchone()
