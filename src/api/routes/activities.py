"""Activities over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.access import ActivityReader
from api.answers import found, written
from api.documentation import read_operation, write_operation
from api.examples import LOG_ACTIVITY
from api.exchange import CurrentExchange, Waits
from api.incoming import ActivityWrite
from api.inputs import parse_command, parse_members
from api.reads import settle
from api.views import ActivityPage
from core.acceptance import Submission
from core.activity.commands import LogActivity
from core.activity.queries import ListActivities, list_activities

router = APIRouter(tags=["activities"])


class ListActivitiesQuery(ListActivities, Waits):
    """The filters of the list, and what a client may add over HTTP."""


@router.post(
    "/v1/activities",
    summary="Log an activity",
    **write_operation(LogActivity, executed=201, sends=LOG_ACTIVITY, returns="activity_logged"),
)
async def log_activity(write: ActivityWrite) -> Response:
    """Queue the logging of an activity; answers 202 with its id, or 201 after `Prefer: wait=N`."""
    exchange = write.exchange
    command, key = parse_command(LogActivity, parse_members(write.body), exchange.idempotency_key)
    submission = Submission(write.caller, "api", command, key, request_id=exchange.id)
    return await written(exchange, submission, HTTPStatus.CREATED)


@router.get(
    "/v1/activities",
    summary="List activities",
    **read_operation(ActivityPage, "activity:read", "activity_page"),
)
async def list_activities_(
    caller: ActivityReader, exchange: CurrentExchange, query: Annotated[ListActivitiesQuery, Query()]
) -> Response:
    """Return a page of activities, newest first."""
    await settle(exchange, caller, query)
    page = await exchange.runtime.reader.run(lambda connection: list_activities(connection, caller.tenant_id, query))
    return found(ActivityPage(activities=page.items, next_cursor=page.next_cursor, request_id=exchange.id))
