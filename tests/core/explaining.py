"""Cursors that keep the plan of every statement that they run, with the rows that it really read."""

# ruff: noqa: ANN401 (the signatures are psycopg's, and JSON is what it is)

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString, Self

from psycopg import AsyncCursor, Cursor

_EXPLAIN: LiteralString = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) "


@dataclass(frozen=True, slots=True)
class Scan:
    """One place of a plan where rows of a table are read."""

    node: str
    table: str
    index: str | None
    rows: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and how Postgres ran it."""

    statement: str
    scans: list[Scan]


PLANS: list[Plan] = []
"""What was kept; who looks at it empties it before."""


def _is_explainable(statement: object) -> bool:
    return isinstance(statement, str) and statement.split()[0] in {"SELECT", "INSERT", "UPDATE", "WITH"}


def _keep(statement: str, row: Any) -> None:
    (tree,) = row[0] if isinstance(row, tuple) else row
    PLANS.append(Plan(statement, list(_scans(tree["Plan"]))))


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    loops = node.get("Actual Loops", 1)
    read = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        yield Scan(node["Node Type"], node["Relation Name"], node.get("Index Name"), read * loops)
    elif "Index Name" in node:
        yield Scan(node["Node Type"], "", node["Index Name"], read * loops)
    for child in node.get("Plans", ()):
        yield from _scans(child)


class ExplainingCursor(Cursor[Any]):
    """Explains each statement in a savepoint that is taken back, then runs it."""

    def execute(self, query: Any, params: Any = None, **rest: Any) -> Self:
        if _is_explainable(query):
            with self.connection.transaction(force_rollback=True):
                explained = Cursor(self.connection).execute(_EXPLAIN + query, params).fetchone()
            _keep(query, explained)
        return super().execute(query, params, **rest)


class AsyncExplainingCursor(AsyncCursor[Any]):
    """The same for reads of a front end, which need nothing taken back."""

    async def execute(self, query: Any, params: Any = None, **rest: Any) -> Self:
        if _is_explainable(query):
            explained = await (await AsyncCursor(self.connection).execute(_EXPLAIN + query, params)).fetchone()
            _keep(query, explained)
        return await super().execute(query, params, **rest)
