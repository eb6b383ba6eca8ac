"""Every route and dependency is a coroutine function: FastAPI runs others in threads, of which there are few."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from core.settings import load_settings


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Yield what a route calls: its dependencies, theirs, and its own function."""
    for each in dependant.dependencies:
        yield from _calls(each)
    if dependant.call is not None:
        yield dependant.call


def _is_coroutine(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def test_no_route_and_no_dependency_runs_in_a_thread() -> None:
    from api.app import create_app  # noqa: PLC0415 (slow to import, and not needed to collect the other checks)

    routes = [*iter_route_contexts(create_app(load_settings()).routes)]
    called = {
        call for route in routes if isinstance(route.original_route, APIRoute) for call in _calls(route.dependant)
    }
    called |= {route.endpoint for route in routes if route.endpoint is not None}

    assert {"create_task", "exchange", "Allowed"} <= {getattr(call, "__name__", type(call).__name__) for call in called}
    assert [call for call in called if not _is_coroutine(call)] == []
