"""Keyset pages: a list in a fixed order, read on from where the last page ended."""

from dataclasses import dataclass
from typing import Annotated, Any, Generic, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row
from pydantic import Field, StringConstraints

from core.commands import StrictModel
from core.cursors import decode_cursor, encode_cursor, not_a_cursor
from core.fields import NOT_NULL

T = TypeVar("T")


class PageArguments(StrictModel):
    """What a caller says of the page that it wants."""

    limit: int = Field(25, ge=1, le=100, description="Maximum number of items to return.")
    cursor: Annotated[str | None, StringConstraints(max_length=2_000), NOT_NULL] = Field(
        None, description="Opaque cursor from a previous response's next_cursor."
    )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items in the order of the list, and the cursor of the next page where there is one."""

    items: list[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Keyset:
    """The order of a list: columns that together are unique, and the direction of all of them."""

    columns: tuple[LiteralString, ...]
    descending: bool

    def after(self) -> LiteralString:
        """Return the condition that skips everything up to the position in the parameters `after_N`."""
        values = ", ".join(f"%(after_{position})s" for position in range(len(self.columns)))
        return f"({', '.join(self.columns)}) {'<' if self.descending else '>'} ({values})"

    def order(self) -> LiteralString:
        """Return the ORDER BY expressions."""
        direction: LiteralString = " DESC" if self.descending else ""
        return ", ".join(column + direction for column in self.columns)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list of one table's rows: what it selects, the conditions with their parameters, and its order."""

    view: type[T]
    select: LiteralString
    conditions: list[LiteralString]
    parameters: dict[str, Any]
    keyset: Keyset

    async def page(self, connection: AsyncConnection[Any], arguments: PageArguments) -> Page[T]:
        """Read one page.

        Raises:
            ValidationFailed: the cursor is not one of this list.

        """
        conditions, parameters = list(self.conditions), {**self.parameters, "limit": arguments.limit + 1}
        scope = [self.view.__name__, self.parameters]
        if arguments.cursor is not None:
            conditions.append(self.keyset.after())
            position = decode_cursor(arguments.cursor, scope)
            if not isinstance(position, list) or len(position) != len(self.keyset.columns):
                raise not_a_cursor()
            parameters |= {f"after_{index}": value for index, value in enumerate(position)}
        statement: LiteralString = (
            f"{self.select} WHERE {' AND '.join(conditions)} ORDER BY {self.keyset.order()} LIMIT %(limit)s"
        )
        try:
            async with connection.cursor(row_factory=class_row(self.view)) as rows:
                found = await (await rows.execute(statement, parameters)).fetchall()
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            if arguments.cursor is None:
                raise
            raise not_a_cursor() from error  # a forged one, since the filters have been checked
        items = found[: arguments.limit]
        if len(found) <= arguments.limit:
            return Page(items, None)
        last = [getattr(items[-1], column) for column in self.keyset.columns]
        return Page(items, encode_cursor(last, scope))
