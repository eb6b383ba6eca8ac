"""How activities are read, and how execution writes them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, LiteralString, Self

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core import sets
from core.activity.model import ACTIVITY_COLUMNS, Activity, ActivityRow, ActivityType
from core.fields import NOT_NULL, Identifier
from core.paging import Keyset, Listing, Page, PageArguments
from core.records import Store, Target
from core.tasks.model import ResourceType

_SELECT = f"SELECT {', '.join(ACTIVITY_COLUMNS)} FROM activities"
_INSERT = sets.insert(ActivityRow, ACTIVITY_COLUMNS)
_NEWEST_FIRST = Keyset(("occurred_at", "id"), descending=True)

_CONDITIONS: dict[str, LiteralString] = {
    "type": "type = %(type)s",
    "related_resource_type": "related_resource_type = %(related_resource_type)s",
    "related_resource_id": "related_resource_id = %(related_resource_id)s",
    "task_id": "task_id = %(task_id)s",
}


class ListActivities(PageArguments):
    """List activities: what was done, newest first.

    Use it to see what is known about a contact, company, deal, support ticket or task before writing to it.
    """

    type: Annotated[ActivityType | None, NOT_NULL] = Field(None, description="Restrict results to this type.")
    related_resource_type: Annotated[ResourceType | None, NOT_NULL] = Field(
        None, description="Restrict results to activities about this type of resource."
    )
    related_resource_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to activities about this resource; needs related_resource_type."
    )
    task_id: Annotated[Identifier | None, NOT_NULL] = Field(
        None, description="Restrict results to activities that belong to this task."
    )

    @model_validator(mode="after")
    def _related_resource_has_a_type(self) -> Self:
        if self.related_resource_id is not None and self.related_resource_type is None:
            raise PydanticCustomError("related_resource_type", "Give related_resource_type with related_resource_id")
        return self


async def list_activities(
    connection: AsyncConnection[Any], tenant_id: str, arguments: ListActivities
) -> Page[Activity]:
    """Return one page of the tenant's activities.

    Raises:
        ValidationFailed: the cursor is not one of this list.

    """
    filters = {name: getattr(arguments, name) for name in _CONDITIONS if getattr(arguments, name) is not None}
    return await Listing(
        view=Activity,
        select=_SELECT,
        conditions=["tenant_id = %(tenant_id)s", *(_CONDITIONS[name] for name in filters)],
        parameters={"tenant_id": tenant_id, **filters},
        keyset=_NEWEST_FIRST,
    ).page(connection, arguments)


async def get_activities(connection: AsyncConnection[Any], tenant_id: str, ids: Sequence[str]) -> list[Activity]:
    """Return those of the activities that the tenant has, in any order."""
    async with connection.cursor(row_factory=class_row(Activity)) as cursor:
        await cursor.execute(_SELECT + " WHERE tenant_id = %s AND id = ANY(%s)", (tenant_id, list(ids)))
        return await cursor.fetchall()


def _load_none(_connection: Connection[Any], _targets: Collection[Target]) -> list[Activity]:
    """Return nothing: an activity is never changed, and its line is its own."""
    return []


def save_activities(connection: Connection[Any], activities: Iterable[Activity]) -> None:
    """Write new activities by one statement."""
    connection.execute(_INSERT, sets.rows(activities))


ACTIVITIES = Store(Activity, frozenset({"activity"}), _load_none, save_activities)
