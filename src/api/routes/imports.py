"""Imports over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from api.access import TaskWriter
from api.answers import found
from api.documentation import act_operation, read_operation, rejects_operation, upload_operation
from api.exchange import NO_PARAMETERS, CurrentExchange, Exchange, Waits
from api.inputs import parse_header_key
from api.reads import settle
from api.transfers import MEDIA_TYPES, file_of, format_of, rejects_of
from api.views import ImportFound, ImportPage, ImportView
from core.commands import StrictModel
from core.errors import InvalidStatusTransition
from core.fields import NOT_NULL, Identifier
from core.ids import new_id
from core.imports.model import Import, ImportFormat
from core.imports.queries import ListImports, get_begun, get_import, get_import_by_key, list_imports
from core.imports.receiving import Begun, wrong_offset
from core.tenancy.model import Caller

router = APIRouter(tags=["imports"])

ImportId = Annotated[Identifier, Path(description="Import identifier.")]


class FormatQuery(StrictModel):
    """How a file is written."""

    model_config = ConfigDict(strict=False)

    format: Annotated[ImportFormat | None, NOT_NULL] = Field(
        None, description="How the file is written; without it, as the Content-Type says."
    )


class ImportQuery(FormatQuery):
    """What a client may ask of an import."""

    dry_run: bool = Field(default=False, description="Only check the rows: none is queued, and the rejects are kept.")


class ImportsQuery(ListImports, Waits):
    """The filters of the list, and what a client may add over HTTP."""


class RejectsQuery(FormatQuery, Waits):
    """How the rejects are to be written, and what a client may add over HTTP."""


@router.post("/v1/imports", summary="Import tasks from a file", **upload_operation())
async def create_import(
    request: Request, caller: TaskWriter, exchange: CurrentExchange, query: Annotated[ImportQuery, Query()]
) -> Response:
    """Queue the creation of a task for each row of a CSV or NDJSON file; answers 202 when all of it is committed."""
    format_, key = format_of(request, query.format), parse_header_key(exchange.idempotency_key)
    if key is not None and (known := await _by_key(exchange, caller, key)):
        async for _ in file_of(request):  # a client that is still sending would not read the answer
            pass
        return _import(exchange, known, HTTPStatus.ACCEPTED, replayed=True)
    begun = Begun(id=new_id("imp"), format=format_, dry_run=query.dry_run, idempotency_key=key)
    await exchange.runtime.uploads.receive(caller, begun, file_of(request))
    return _import(exchange, await _get(exchange, caller, begun.id), HTTPStatus.ACCEPTED)


@router.patch(
    "/v1/imports/{import_id}",
    summary="Go on with an import whose upload was cut",
    dependencies=NO_PARAMETERS,
    **upload_operation(resumed=True),
)
async def resume_import(
    request: Request,
    caller: TaskWriter,
    exchange: CurrentExchange,
    import_id: ImportId,
    upload_offset: Annotated[int, Header(ge=0, description="Byte of the file at which the body begins.")],
) -> Response:
    """Take the rest of a file, from the import's `bytes_received` on."""
    begun = await exchange.runtime.reader.run(lambda connection: get_begun(connection, caller.tenant_id, import_id))
    if upload_offset != begun.offset:
        raise wrong_offset(begun.offset)
    await exchange.runtime.uploads.receive(caller, begun, file_of(request))
    return _import(exchange, await _get(exchange, caller, import_id), HTTPStatus.ACCEPTED)


@router.get("/v1/imports", summary="List imports", **read_operation(ImportPage, "tasks:write", "import_page"))
async def list_imports_(
    caller: TaskWriter, exchange: CurrentExchange, query: Annotated[ImportsQuery, Query()]
) -> Response:
    """Return a page of imports, newest first."""
    await settle(exchange, caller, query)
    page = await exchange.runtime.reader.run(lambda connection: list_imports(connection, caller.tenant_id, query))
    imports = [ImportView.of(each) for each in page.items]
    return found(ImportPage(imports=imports, next_cursor=page.next_cursor, request_id=exchange.id))


@router.get(
    "/v1/imports/{import_id}",
    summary="Get an import",
    **read_operation(ImportFound, "tasks:write", "import_found", polled=True),
)
async def get_import_(
    caller: TaskWriter, exchange: CurrentExchange, import_id: ImportId, query: Annotated[Waits, Query()]
) -> Response:
    """Return how far an import is."""
    await settle(exchange, caller, query)
    return _import(exchange, await _get(exchange, caller, import_id), HTTPStatus.OK)


@router.get("/v1/imports/{import_id}/rejects", summary="Download the rejects of an import", **rejects_operation())
async def get_rejects(
    caller: TaskWriter, exchange: CurrentExchange, import_id: ImportId, query: Annotated[RejectsQuery, Query()]
) -> Response:
    """Return the rows that were not acceptable, each with its line and the reason, to be mended and sent again."""
    await settle(exchange, caller, query)
    known = await _get(exchange, caller, import_id)
    format_ = query.format or known.format
    rejects = rejects_of(exchange.runtime, caller.tenant_id, known, format_)
    return StreamingResponse(
        rejects,
        media_type=MEDIA_TYPES[format_],
        headers={"Content-Disposition": f'attachment; filename="{import_id}.rejects.{format_}"'},
    )


@router.post(
    "/v1/imports/{import_id}/cancel",
    summary="Cancel an import",
    dependencies=NO_PARAMETERS,
    **act_operation(ImportFound, "tasks:write", "import_found", InvalidStatusTransition),
)
async def cancel_import_(caller: TaskWriter, exchange: CurrentExchange, import_id: ImportId) -> Response:
    """End an import: rows that are not executed yet are withdrawn; what was executed stays."""
    return _import(exchange, await exchange.runtime.uploads.cancel(caller, import_id), HTTPStatus.OK)


async def _get(exchange: Exchange, caller: Caller, import_id: str) -> Import:
    return await exchange.runtime.reader.run(lambda connection: get_import(connection, caller.tenant_id, import_id))


async def _by_key(exchange: Exchange, caller: Caller, key: str) -> Import | None:
    return await exchange.runtime.reader.run(lambda connection: get_import_by_key(connection, caller.tenant_id, key))


def _import(exchange: Exchange, known: Import, status: HTTPStatus, *, replayed: bool = False) -> Response:
    headers = {"Location": f"/v1/imports/{known.id}", **({"Idempotent-Replayed": "true"} if replayed else {})}
    if known.finished_at is None:
        headers["Retry-After"] = "1"
    return found(ImportFound(import_=ImportView.of(known), request_id=exchange.id), headers, status)
