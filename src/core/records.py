"""What commands make and change: tasks, and whatever else has a line, a table and a place in the audit trail."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from psycopg import Connection


class Target(NamedTuple):
    """What a command is about: a record that is there, or is to be. The queued requests of one target are its line."""

    tenant_id: str
    type: str
    id: str


class Record(Protocol):
    """What execution loads, handlers change, and the audit trail speaks of."""

    @property
    def target(self) -> Target:
        """What it is known by."""

    @property
    def status(self) -> str | None:
        """Where it is in its life, if it has one."""

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """Type and id of the resource that it is attached to."""


@dataclass(frozen=True, slots=True)
class Store:
    """How the records of a class are loaded and written: one statement each, whatever the number.

    `load` locks those of the targets that exist; `save` takes records of this class alone.
    """

    record: type
    types: frozenset[str]
    load: Callable[[Connection[Any], Collection[Target]], Sequence[Record]]
    save: Callable[[Connection[Any], Sequence[Any]], None]
