"""A plain MCP tool that takes the same arguments and does nothing; it asks for no token."""

from datetime import datetime
from typing import Annotated, Literal

from mcp.server import MCPServer
from pydantic import Field

from api.views import Accepted, TaskReference
from core.ids import new_id

server = MCPServer("bench", log_level="WARNING")


@server.tool()
async def create_task(
    title: Annotated[str, Field(min_length=1, max_length=500)],
    description: Annotated[str | None, Field(max_length=20_000)] = None,
    due_at: datetime | None = None,
    assignee_id: Annotated[str | None, Field(max_length=255)] = None,
    related_resource_type: Literal["contact", "company", "deal", "support_ticket"] | None = None,
    related_resource_id: Annotated[str | None, Field(max_length=255)] = None,
    idempotency_key: Annotated[str | None, Field(max_length=255)] = None,
) -> Accepted:
    """Create a task for a user, agent, contact, company, or deal."""
    return Accepted(task=TaskReference(id=new_id("task")), request_id=new_id("req"))


api = server.streamable_http_app(stateless_http=True)
