"""Statements over sets of rows: one array for each column, one statement whatever the number of rows."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, LiteralString

from sqlalchemy.dialects import postgresql

from core.db import Row

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def _type_of(row: type[Row], column: str) -> str:
    return row.__table__.c[column].type.compile(_DIALECT).partition(" COLLATE")[0]


def unnest(row: type[Row], columns: Sequence[str]) -> LiteralString:
    """Return `unnest(...) AS new (...)` over one array parameter for each column, in the table's types."""
    arrays = ", ".join(f"%({column})s::{_type_of(row, column)}[]" for column in columns)
    return f"unnest({arrays}) AS new ({', '.join(columns)})"


def insert(row: type[Row], columns: Sequence[str]) -> LiteralString:
    """Return the INSERT of a set of rows; the caller may append ON CONFLICT or RETURNING."""
    names = ", ".join(columns)
    return f"INSERT INTO {row.__tablename__} ({names}) SELECT {names} FROM {unnest(row, columns)}"


def arrays(columns: Sequence[str], rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Return the parameters of such a statement: for each column its values in the order of the rows."""
    values = list(map(attrgetter(*columns), rows))
    return {column: [row[position] for row in values] for position, column in enumerate(columns)}
