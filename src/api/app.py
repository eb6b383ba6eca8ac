"""The FastAPI application: routes, errors, documents, and the runtime that they share."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from api import problems
from api.agents import Agents
from api.docs import install_docs
from api.middleware import ExchangeMiddleware
from api.openapi import install_openapi
from api.protocol import LET_GO
from api.routes import activities, audit, health, imports, requests, tasks
from api.runtime import open_runtime
from core.settings import Settings

_DESCRIPTION = """
Tasks of an agent-facing CRM. A write is answered 202 as soon as it is committed to the queue, and is then executed
exactly once in effect; poll `GET /v1/requests/{id}`, or send `Prefer: wait=N` to get the result at once.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the application; the parts that it needs are opened when it starts."""
    agents = Agents(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_runtime(settings) as runtime, agents.run():
            app.state.runtime = runtime
            yield {LET_GO: runtime.waiters.let_go}

    app = FastAPI(
        title="Baton",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # FastAPI looks for each with every request
        redirect_slashes=False,  # a write that is redirected may lose its token or its body
    )
    app.add_middleware(ExchangeMiddleware)
    problems.install(app)
    for routes in (tasks, activities, imports, requests, audit, health):
        # Not by include_router, which has the routes looked up anew for every request.
        app.router.routes.extend(routes.router.routes)
    app.router.routes.append(agents.route)
    install_openapi(app)
    install_docs(app)
    _match_whole_paths(app)
    return app


def _match_whole_paths(app: FastAPI) -> None:
    """Let a route match no path with a line break behind it: the patterns end in `$`, which stands before one too."""
    for route in app.routes:
        if isinstance(route, Route):
            route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z")
