"""Statements over sets of rows: one parameter, one statement, whatever the number of rows.

The rows go as one JSON text, which costs a fifth of what an array for each column does, on both sides.
"""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import orjson
from sqlalchemy.dialects import postgresql

from core.db import Row

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def recordset(row: type[Row], columns: Sequence[str]) -> LiteralString:
    """Return `json_to_recordset(...) AS new (...)` over the parameter `rows`, in the types of the table."""
    typed = ", ".join(f"{column} {row.__table__.c[column].type.compile(_DIALECT)}" for column in columns)
    return f"json_to_recordset(%(rows)s::json) AS new ({typed})"


def insert(row: type[Row], columns: Sequence[str]) -> LiteralString:
    """Return the INSERT of a set of rows; the caller may append ON CONFLICT or RETURNING."""
    names = ", ".join(columns)
    return f"INSERT INTO {row.__tablename__} ({names}) SELECT {names} FROM {recordset(row, columns)}"


def rows(values: Iterable[Any]) -> dict[str, str]:
    """Return the parameter: dataclasses or mappings, of which each statement takes the members that it names."""
    return {"rows": orjson.dumps(list(values)).decode()}
