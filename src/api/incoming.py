"""A write as it comes in over HTTP: who sends it, in which exchange, and its body."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.access import Allowed
from api.bodies import read_body
from api.exchange import Exchange, exchange, refuse_parameters
from core.settings import Settings
from core.tenancy.model import Caller, Scope


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a write brings, of which nothing is known but that its sender may write."""

    caller: Caller
    exchange: Exchange
    body: bytes


class Takes:
    """A dependency: a write with a body and without query parameters.

    One for all of it: to call a dependency costs FastAPI more than to look up a remembered token.
    """

    def __init__(self, scope: Scope, most_bytes: Callable[[Settings], int]) -> None:
        """Name the scope that the route requires, and the setting that bounds its body."""
        self._allowed = Allowed(scope)
        self._most_bytes = most_bytes

    async def __call__(self, request: Request) -> Incoming:
        """Return the write; raises DomainError, for the token before anything else."""
        caller = await self._allowed(request)
        begun = await exchange(request)
        refuse_parameters(request)
        return Incoming(caller, begun, await read_body(request, self._most_bytes(begun.runtime.settings)))


ActivityWrite = Annotated[Incoming, Depends(Takes("activity:write", lambda settings: settings.max_body_bytes))]
TaskWrite = Annotated[Incoming, Depends(Takes("tasks:write", lambda settings: settings.max_body_bytes))]
TaskBatch = Annotated[Incoming, Depends(Takes("tasks:write", lambda settings: settings.max_batch_bytes))]
