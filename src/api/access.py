"""Which scope a route needs, and the caller that has it."""

from typing import Annotated

from fastapi import Depends, Request

from api.authentication import Authenticator
from core.tenancy.model import Caller, Scope


async def caller_from(request: Request) -> Caller:
    """Return who sent a request; raises Unauthorized or Unavailable."""
    authenticator: Authenticator = request.app.state.runtime.authenticator
    # Of two headers one would have to be chosen, and a proxy may have looked at the other: together they have no form.
    return await authenticator.authenticate(", ".join(request.headers.getlist("authorization")))


class Allowed:
    """A dependency: the caller, if its token includes a scope."""

    def __init__(self, scope: Scope) -> None:
        """Name the scope that the route requires."""
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        """Return the caller; raises Unauthorized, MissingRequiredScope or Unavailable."""
        caller = await caller_from(request)
        caller.require(self.scope)
        return caller


TaskReader = Annotated[Caller, Depends(Allowed("tasks:read"))]
TaskWriter = Annotated[Caller, Depends(Allowed("tasks:write"))]
ActivityReader = Annotated[Caller, Depends(Allowed("activity:read"))]
AuditReader = Annotated[Caller, Depends(Allowed("audit:read"))]
