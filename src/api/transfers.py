"""Files that come in and go out in pieces: how one is named, read and written."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence

from fastapi import Request
from starlette.requests import ClientDisconnect

from api.bodies import pieces_of
from api.protocol import RequestTimedOut
from api.runtime import Runtime
from core.errors import FieldError, ValidationFailed
from core.imports.model import Import, ImportFormat
from core.imports.queries import list_rejects
from core.imports.receiving import UploadCut
from core.imports.records import RAW
from core.imports.rows import COLUMNS, ERROR, LINE, Reject

MEDIA_TYPES: dict[ImportFormat, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}

_FORMATS: dict[str, ImportFormat] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}


def format_of(request: Request, named: ImportFormat | None) -> ImportFormat:
    """Return how the body is written, as the query or else the Content-Type tells.

    Raises:
        ValidationFailed: neither tells.

    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    format_ = named or _FORMATS.get(media_type)
    if format_ is None:
        message = "Send Content-Type: text/csv or application/x-ndjson, or ?format=csv or ndjson"
        raise ValidationFailed([FieldError("format", message)])
    return format_


async def file_of(request: Request) -> AsyncIterator[bytes]:
    """Yield a file as it arrives; raises UploadCut where it ends early or nothing comes for a minute."""
    try:
        async for piece in pieces_of(request):
            yield piece
    except (ClientDisconnect, RequestTimedOut) as error:
        raise UploadCut from error


async def rejects_of(runtime: Runtime, tenant_id: str, known: Import, format_: ImportFormat) -> AsyncIterator[bytes]:
    """Yield the rejects of an import as a file that can be mended and sent again.

    CSV has the columns of the import's own file; both formats add the line and the reason.
    """
    columns = [column for column in known.columns or COLUMNS if column not in (LINE, ERROR)]
    if format_ == "csv":
        yield _csv([*columns, LINE, ERROR])
    page: list[Reject] = []
    while page := await _page(runtime, tenant_id, known.id, after=page[-1].line if page else 0):
        yield b"".join(_written(each, format_, columns) for each in page)


async def _page(runtime: Runtime, tenant_id: str, import_id: str, *, after: int) -> list[Reject]:
    return await runtime.reader.run(lambda connection: list_rejects(connection, tenant_id, import_id, after=after))


def _written(reject: Reject, format_: ImportFormat, columns: Sequence[str]) -> bytes:
    if format_ == "ndjson":
        values = {**reject.values, LINE: reject.first_line, ERROR: reject.error}
        return json.dumps(values, ensure_ascii=True).encode() + b"\n"
    # What could not be divided into columns stands behind the reason.
    raw = reject.values.get(RAW)
    reason = reject.error if raw is None else f"{reject.error}: {raw}"
    return _csv([*(reject.values.get(column, "") for column in columns), reject.first_line, reason])


def _csv(row: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(value if isinstance(value, str | int) else json.dumps(value) for value in row)
    return line.getvalue().encode(errors="surrogateescape")
