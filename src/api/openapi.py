"""The OpenAPI document: what FastAPI knows of the routes, completed."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.examples import ANSWERS
from api.views import Problem

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token made by `baton token create`. Each operation names the scope that it needs.",
    }
}


def install_openapi(app: FastAPI) -> None:
    """Serve the completed document in place of FastAPI's own."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way that FastAPI documents


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    _, definitions = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    components = document["components"]
    components["schemas"] |= definitions["$defs"]
    components["securitySchemes"] = _SCHEMES
    components["examples"] = {name: {"value": answer} for name, answer in ANSWERS.items()}
    return document
