"""Which scope a route needs, and the caller that has it."""

from typing import Annotated

from fastapi import Depends, Request

from core.tenancy.model import Caller, Scope


class Allowed:
    """A dependency: the caller, if its token includes a scope."""

    def __init__(self, scope: Scope) -> None:
        """Name the scope that the route requires."""
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        """Return the caller; raises Unauthorized, MissingRequiredScope or Unavailable."""
        authenticator = request.app.state.runtime.authenticator
        caller: Caller = await authenticator.authenticate(request.headers.get("authorization"))
        caller.require(self.scope)
        return caller


TaskReader = Annotated[Caller, Depends(Allowed("tasks:read"))]
TaskWriter = Annotated[Caller, Depends(Allowed("tasks:write"))]
AuditReader = Annotated[Caller, Depends(Allowed("audit:read"))]
