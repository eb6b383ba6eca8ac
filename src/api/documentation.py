"""What the OpenAPI document says of a route beside its parameters: bodies, answers, headers, errors and scopes."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Response

from api.batches import COMMAND, KINDS, CommandBatch
from api.examples import BATCH, REJECTS, REQUEST_ID, ROWS, Example
from api.inputs import BATCH_KEY_FORM, KEY_FORM, arguments_schema, input_schema
from api.problems import MEDIA_TYPE
from api.results import BatchResults
from api.subjects import SUBJECTS
from api.views import ImportFound, TaskChanged, View
from core import errors
from core.commands import Command
from core.errors import DomainError
from core.tenancy.model import Scope

Responses = dict[int | str, dict[str, Any]]
Operation = dict[str, Any]
"""Arguments of a route decorator."""


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_PREFER = _parameter(
    "Prefer", "`wait=N` waits for execution, N seconds and 30 at most (RFC 7240).", examples=["wait=5"]
)
_KEY = _parameter("Idempotency-Key", "The idempotency key, as in the body.", **KEY_FORM)
_BATCH_KEY = _parameter(
    "Idempotency-Key",
    "Makes the keys of the commands that have none of their own: `KEY/0` for the first, `KEY/1` and so on.",
    **BATCH_KEY_FORM,
)
_CORRELATION = _parameter("X-Request-ID", "Echoed in the answer and the logs: 1 to 128 visible ASCII characters.")
_IF_NONE_MATCH = _parameter("If-None-Match", "The ETag of an earlier answer: 304 where nothing changed (RFC 9110).")


def _header(name: str, description: str, type_: str = "string") -> dict[str, Any]:
    return {name: {"description": description, "schema": {"type": type_}}}


CORRELATED = _header("X-Request-ID", "The client's X-Request-ID, else the id of this exchange.")
RETRY_AFTER = _header("Retry-After", "Seconds after which to try again.", "integer")
_TAGGED = _header("ETag", "Changes whenever the answer does.")
_LOCATED = _header("Location", "Where the status of the write is.")
_APPLIED = _header("Preference-Applied", "The preference that was honoured (RFC 7240).")
_REPLAYED = _header("Idempotent-Replayed", "`true` where the key was used before, for the same command.")
_CHALLENGE = _header("WWW-Authenticate", "What the token lacks (RFC 6750).")

# Of the refusals that may also be what an accepted write failed with.
_OF_A_FAILED_WRITE = dict.fromkeys((404, 409, 422, 500), _LOCATED | _APPLIED | _REPLAYED)

_READS = (
    errors.Unauthorized,
    errors.MissingRequiredScope,
    errors.ResourceNotFound,  # of a list too: what after_request names
    errors.ValidationFailed,
    errors.InternalError,
    errors.Unavailable,
)
_WRITES = (
    *_READS,
    errors.IdempotencyConflict,
    errors.InvalidStatusTransition,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.QueueFull,
)

# What one command of a batch may be refused with; the batch itself never is.
_OF_ONE_COMMAND = {errors.ResourceNotFound, errors.IdempotencyConflict, errors.InvalidStatusTransition}


def write_operation(
    kind: type[Command],
    *,
    executed: int,
    sends: Example,
    returns: str,
    without: Iterable[str] = (),
) -> Operation:
    """Describe a write: 202 when it is accepted, `executed` within the wait, or a refusal."""
    subject = SUBJECTS[kind.kind]
    tagged = _TAGGED if subject.changed_view is TaskChanged else {}
    content = {"schema": input_schema(kind, without=frozenset(without)), "example": sends}
    return {
        "status_code": 202,
        "response_model": subject.accepted_view,
        "responses": {
            202: answer(
                "Committed and queued; it will be executed once, whatever happens.",
                subject.accepted_example,
                _LOCATED | RETRY_AFTER | _REPLAYED,
            ),
            executed: {
                "model": subject.changed_view,
                **answer(
                    "Executed within the time that `Prefer: wait=N` gave it.",
                    returns,
                    _LOCATED | _APPLIED | _REPLAYED | tagged,
                ),
            },
            **problems(*_WRITES, headers=_OF_A_FAILED_WRITE),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": content}},
            "parameters": [_PREFER, _KEY, _CORRELATION],
            "security": _needs(kind.scope),
        },
    }


def batch_operation() -> Operation:
    """Describe a batch: 202 when something of it is to be executed, 200 when nothing is, or a refusal of all of it."""
    schema = arguments_schema(CommandBatch)
    schema["properties"]["commands"]["items"] = {"oneOf": [_named(kind) for kind in KINDS.values()]}
    return {
        "status_code": 202,
        "response_model": BatchResults,
        "responses": {
            202: answer(
                "What was accepted is committed; what is queued will be executed once, whatever happens.",
                "batch_accepted",
                RETRY_AFTER,
            ),
            200: {
                "model": BatchResults,
                **answer("Nothing is queued: each was executed in time, or refused.", "batch_settled", _APPLIED),
            },
            **problems(*[kind for kind in _WRITES if kind not in _OF_ONE_COMMAND]),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": BATCH}}},
            "parameters": [_PREFER, _BATCH_KEY, _CORRELATION],
            "security": _needs("tasks:write"),
        },
    }


def _named(kind: type[Command]) -> dict[str, Any]:
    """Return the JSON Schema of a command that says its kind."""
    schema = input_schema(kind)
    name = {"type": "string", "const": kind.kind, "description": "What is to be done."}
    return {
        **schema,
        "properties": {COMMAND: name, **schema["properties"]},
        "required": [COMMAND, *schema["required"]],
    }


def read_operation(
    view: type[View],
    scope: Scope,
    returns: str,
    *also: type[DomainError],
    tagged: bool = False,
    polled: bool = False,
) -> Operation:
    """Describe a read: how else it may be refused, whether its answer has an ETag, and may say when to look again."""
    headers = (_TAGGED if tagged else {}) | (RETRY_AFTER if polled else {})
    answers: Responses = {200: answer("The document.", returns, headers)}
    if tagged:
        answers[304] = {
            "description": "Nothing changed since the answer with this ETag.",
            "headers": CORRELATED | headers,
        }
    return {
        "response_model": view,
        "responses": {**answers, **problems(*_READS, *also)},
        "openapi_extra": {
            "parameters": [_PREFER, *([_IF_NONE_MATCH] if tagged else []), _CORRELATION],
            "security": _needs(scope),
        },
    }


def act_operation(view: type[View], scope: Scope, returns: str, *also: type[DomainError]) -> Operation:
    """Describe what is done at once, without a body, and answers with a document that may be polled."""
    operation = read_operation(view, scope, returns, *also, polled=True)
    return {**operation, "openapi_extra": {"parameters": [_CORRELATION], "security": _needs(scope)}}


def upload_operation(*, resumed: bool = False) -> Operation:
    """Describe an upload: a file, or the rest of one."""
    content = {media_type: {"schema": {"type": "string"}, "example": rows} for media_type, rows in ROWS.items()}
    key = _parameter("Idempotency-Key", "Names the file: under a known key its import comes back.", **KEY_FORM)
    return {
        "status_code": 202,
        "response_model": ImportFound,
        "responses": {
            202: answer(
                "All of the file is committed, and its rows are being executed.",
                "import_found",
                _LOCATED | RETRY_AFTER | ({} if resumed else _REPLAYED),
            ),
            **problems(*(kind for kind in _WRITES if kind is not errors.PayloadTooLarge)),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": content},
            "parameters": [*([] if resumed else [key]), _CORRELATION],
            "security": _needs("tasks:write"),
        },
    }


def rejects_operation() -> Operation:
    """Describe the download of rejects."""
    content = {media_type: {"schema": {"type": "string"}, "example": rows} for media_type, rows in REJECTS.items()}
    return {
        "response_class": Response,
        "responses": {
            200: {"description": "The rejects, in the columns of the file.", "headers": CORRELATED, "content": content},
            **problems(*_READS),
        },
        "openapi_extra": {"parameters": [_PREFER, _CORRELATION], "security": _needs("tasks:write")},
    }


def problems(*kinds: type[DomainError], headers: Mapping[int, dict[str, Any]] | None = None) -> Responses:
    """Describe errors, those of one status together; `headers` are those of a status beside its kinds' own."""
    by_status: dict[int, list[type[DomainError]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _problem(members, (headers or {}).get(status, {})) for status, members in sorted(by_status.items())}


def answer(description: str, example: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an answer of JSON with one of the examples that api.examples names."""
    content = {"application/json": {"examples": {example: {"$ref": f"#/components/examples/{example}"}}}}
    return {"description": description, "headers": CORRELATED | dict(headers or {}), "content": content}


def _needs(scope: str) -> list[dict[str, list[str]]]:
    return [{"bearer": [scope]}]


def _problem(kinds: list[type[DomainError]], more_headers: dict[str, Any]) -> dict[str, Any]:
    headers = CORRELATED | more_headers
    if any(kind.retryable for kind in kinds):
        headers = headers | RETRY_AFTER
    if kinds[0] in {errors.Unauthorized, errors.MissingRequiredScope}:
        headers = headers | _CHALLENGE
    schema = {"$ref": "#/components/schemas/Problem"}
    examples = {kind.code: {"value": _example(kind)} for kind in kinds}
    return {
        "description": " / ".join(_sentence(kind) for kind in kinds),
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _sentence(kind: type[DomainError]) -> str:
    return (kind.__doc__ or "").strip()


def _example(kind: type[DomainError]) -> Example:
    made: dict[type[DomainError], DomainError] = {
        errors.MissingRequiredScope: errors.MissingRequiredScope("tasks:write"),
        errors.ValidationFailed: errors.ValidationFailed([errors.FieldError("title", "Field required")]),
        errors.QueueFull: errors.QueueFull(),
        errors.Unavailable: errors.Unavailable(),
    }
    error = made[kind] if kind in made else kind(_sentence(kind))
    return error.problem(request_id=REQUEST_ID, instance="/v1/tasks")
