"""One HTTP exchange: its id, its limits, and what a client may ask about how it is answered."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, unquote_to_bytes
from urllib.request import parse_http_list

from fastapi import Depends, Query, Request
from pydantic import Field, field_validator
from starlette.types import Receive

from api.problems import path_of
from api.runtime import Runtime
from core.commands import StrictModel
from core.errors import FieldError, ResourceNotFound, ValidationFailed
from core.fields import NOT_NULL, Identifier

_SECONDS = re.compile(r'("?)(\d+)\1', re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
MOST_SECONDS = 30
AFTER_REQUEST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a route needs to know of the request beside its input.

    `id` is the request id of the answer; a write is accepted under it. `wait` is how long the client prefers to wait
    for the execution of a write, in seconds, None where it does not say. `receive` is for `while_connected`.
    """

    id: str
    runtime: Runtime
    path: str
    wait: int | None
    idempotency_key: str | None
    receive: Receive


async def exchange(request: Request) -> Exchange:
    """Return the exchange of a request.

    Raises:
        ResourceNotFound: the path is no UTF-8.
        ValidationFailed: a query parameter is no UTF-8, or it or a header that has one value is given several times.

    """
    if not _is_utf8(request.scope["raw_path"]):
        raise ResourceNotFound(f"There is nothing at {path_of(request.scope)}, whose bytes are not valid UTF-8.")
    if request.scope["query_string"]:
        _refuse_undecodable(request.scope["query_string"])
        _refuse_repeated(request)
    return Exchange(
        id=request.scope["state"]["request_id"],
        runtime=request.app.state.runtime,
        path=path_of(request.scope),
        wait=preferred_wait(request.headers.getlist("prefer")),
        idempotency_key=_single(request, "idempotency-key"),
        receive=request.receive,
    )


CurrentExchange = Annotated[Exchange, Depends(exchange)]


def refuse_parameters(request: Request) -> None:
    """Refuse every query parameter, where none means anything: a key for a retry that is ignored would mislead."""
    if request.scope["query_string"] and request.query_params:
        raise ValidationFailed([FieldError(name, "Extra inputs are not permitted") for name in request.query_params])


async def no_parameters(_: Annotated[StrictModel, Query()]) -> None:
    """Refuse every query parameter of a route whose token is looked up by a dependency of its own."""


NO_PARAMETERS = [Depends(no_parameters)]


def preferred_wait(prefer: Sequence[str]) -> int | None:
    """Return the seconds of `Prefer: wait=N`, 30 at most; None where there is no such preference (RFC 7240)."""
    for preference in parse_http_list(", ".join(prefer)):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":  # of several the first counts, whether or not it can be understood
            seconds = _SECONDS.fullmatch(value.strip())
            return int(min(float(seconds[2]), MOST_SECONDS)) if seconds else None
    return None


def _refuse_undecodable(query: bytes) -> None:
    """Refuse percent-encoded bytes that are no UTF-8, which everything after this reads as U+FFFD."""
    wrong = [pair for pair in query.split(b"&") if not _is_utf8(pair)]
    if wrong:
        raise ValidationFailed([FieldError(unquote(pair.partition(b"=")[0]), "Not valid UTF-8") for pair in wrong])


def _is_utf8(encoded: bytes) -> bool:
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_repeated(request: Request) -> None:
    names = Counter(name for name, _ in request.query_params.multi_items())
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ValidationFailed([FieldError(name, "Give it once") for name in repeated])


def _single(request: Request, header: str) -> str | None:
    values = set(request.headers.getlist(header))
    if len(values) > 1:
        raise ValidationFailed([FieldError(header.replace("-", "_"), "The header is given twice, with two values")])
    return values.pop() if values else None


class QueryParameters(StrictModel):
    """Input that comes as text: a number is written in digits, and in nothing else that Python would read as one."""

    @field_validator("limit", mode="before", check_fields=False)
    @classmethod
    def _limit_in_digits(cls, limit: str | int) -> str | int:
        return int(limit) if isinstance(limit, str) and _NUMBER.fullmatch(limit) else limit


class Waits(QueryParameters):
    """What every read may be asked to wait for."""

    after_request: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Answer when this request is finished: read your own write. 10 seconds, or `Prefer: wait=N`."
    )
