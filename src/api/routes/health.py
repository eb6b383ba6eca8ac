"""Whether the process lives and can serve, and what it measures."""

from http import HTTPStatus
from ipaddress import ip_address
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.access import Allowed
from api.documentation import CORRELATED, RETRY_AFTER, answer, problems
from api.exchange import CurrentExchange
from api.views import View
from core.errors import MissingRequiredScope, Unauthorized, Unavailable

router = APIRouter(tags=["operation"])

_metrics_reader = Allowed("admin")
_METRIC = "# TYPE process_open_fds gauge\nprocess_open_fds 23.0\n"


class Alive(View):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(View):
    """Whether writes and reads are served.

    Without Postgres nothing is. Without the broker writes are accepted all the same, and executed once it is back.
    """

    status: Literal["ready", "degraded", "unavailable"]
    postgres: Literal["ok", "unreachable"]
    broker: Literal["ok", "unreachable"]


@router.get("/livez", summary="Is the process alive?", response_model=Alive, responses={200: answer("It is.", "alive")})
async def livez() -> Response:
    """Answer 200 as long as the process can answer."""
    return Response(Alive().model_dump_json(), media_type="application/json")


@router.get(
    "/readyz",
    summary="Can the process serve?",
    response_model=Readiness,
    responses={
        200: answer("It can, if perhaps without the broker.", "ready"),
        503: {"model": Readiness, **answer("Postgres cannot be reached.", "not_ready", RETRY_AFTER)},
    },
)
async def readyz(exchange: CurrentExchange) -> Response:
    """Answer 200 when reads and writes are served, and say what is missing."""
    postgres, broker = await exchange.runtime.reader.is_reachable(), exchange.runtime.waiters.listening
    readiness = Readiness(
        status=("ready" if broker else "degraded") if postgres else "unavailable",
        postgres="ok" if postgres else "unreachable",
        broker="ok" if broker else "unreachable",
    )
    status, headers = (HTTPStatus.OK, {}) if postgres else (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "2"})
    return Response(readiness.model_dump_json(), status, headers, "application/json")


def _is_local(request: Request) -> bool:
    """Tell whether the request comes from this machine; what a proxy calls the client may be no address."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {
            "description": "The metrics in Prometheus's text format.",
            "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}, "example": _METRIC}},
            "headers": CORRELATED,
        },
        **problems(Unauthorized, MissingRequiredScope, Unavailable),
    },
    openapi_extra={"security": [{}, {"bearer": ["admin"]}]},
)
async def metrics(request: Request) -> Response:
    """Return the metrics of this process, to this machine itself or to a token with the scope admin."""
    if not _is_local(request):
        await _metrics_reader(request)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
