"""Every refusal as application/problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import Scope

from api.inputs import field_errors
from core.errors import (
    DomainError,
    FieldError,
    InternalError,
    MethodNotAllowed,
    MissingRequiredScope,
    NoToken,
    Problem,
    ResourceNotFound,
    Unauthorized,
    ValidationFailed,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for a problem document."""
    return Response(orjson.dumps(problem), problem["status"], headers, MEDIA_TYPE)


def refuse(request: Request, error: DomainError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for an error of this exchange."""
    problem = error.problem(request_id=request.scope["state"]["request_id"], instance=path_of(request.scope))
    return problem_response(problem, {**(headers or {}), **headers_of(error)})


def headers_of(error: DomainError) -> dict[str, str]:
    """Return the headers that a kind of error has: the challenge, when to try again, or that nobody listens on."""
    headers = {}
    if (challenge := _challenge(error)) is not None:
        headers["WWW-Authenticate"] = f'Bearer realm="baton"{challenge}'
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"
    return headers


def _challenge(error: DomainError) -> str | None:
    """Return what a challenge says beside the realm (RFC 6750, section 3.1)."""
    match error:
        case NoToken():
            return ""
        case Unauthorized():
            return ', error="invalid_token"'
        case MissingRequiredScope():
            return f', error="insufficient_scope", scope="{error.scope}"'
        case _:
            return None


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""

    @app.exception_handler(DomainError)
    async def _domain_error(request: Request, error: DomainError) -> Response:
        return refuse(request, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return refuse(request, ValidationFailed(field_errors(error.errors(), skip=1)))

    @app.exception_handler(HTTPException)
    async def _http_exception(request: Request, error: HTTPException) -> Response:
        headers = {**(error.headers or {})}
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods_of(request))
        return refuse(request, _as_domain_error(request, error), headers)


def _methods_of(request: Request) -> list[str]:
    """Return the methods of a path over all of its routes; each route knows only its own."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    known = [
        method
        for method in ("GET", "POST", "PATCH")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    # What is mounted are files.
    return [*known, "HEAD"] if "GET" in known else known or ["GET", "HEAD"]


def _as_domain_error(request: Request, error: HTTPException) -> DomainError:
    known: dict[int, DomainError] = {
        HTTPStatus.NOT_FOUND: ResourceNotFound(f"There is nothing at {path_of(request.scope)}."),
        HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed(f"{path_of(request.scope)} has no method {request.method}."),
        HTTPStatus.BAD_REQUEST: ValidationFailed([FieldError("body", str(error.detail))]),
    }
    return known.get(error.status_code) or InternalError("The request could not be answered.")


def path_of(scope: Scope) -> str:
    """Return the path as it was sent, which is a URI reference whatever its bytes mean (RFC 9457, section 3.1.5)."""
    path: bytes = scope["raw_path"]
    return path.decode("ascii")


def crashed(request_id: str, path: str, error: Exception) -> Response:
    """Return the answer when a route crashed; what happened is for the log only."""
    log.error("request_crashed", request_id=request_id, path=path, exc_info=error)
    problem: dict[str, Any] = InternalError("The request could not be answered.").problem(
        request_id=request_id, instance=path
    )
    return problem_response(problem)
