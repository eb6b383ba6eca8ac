"""How a command is decided: what a handler is given, what it returns, and which handler decides which kind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from core.commands import Command
from core.records import Record, Target
from core.tasks.model import Source
from core.tenancy.model import Actor

R = TypeVar("R")
Outcome = Literal["applied", "unchanged"]


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one command; `now` is the instant at which its batch is decided."""

    request_id: str
    target: Target
    actor: Actor
    source: Source
    now: datetime

    @property
    def tenant_id(self) -> str:
        """The workspace in which the command acts."""
        return self.target.tenant_id


@dataclass(slots=True)
class State:
    """What the commands of a batch name, as loaded: their targets' records, and which of the rest exists."""

    records: dict[Target, Record] = field(default_factory=dict)
    existing: Collection[Target] = frozenset()

    def find(self, record: type[R], target: Target) -> R | None:
        """Return the record of a target, if there is one of this class."""
        found = self.records.get(target)
        return found if isinstance(found, record) else None

    def exists(self, tenant_id: str, reference: tuple[str, str]) -> bool:
        """Return whether something that a command refers to is there."""
        target = Target(tenant_id, *reference)
        return target in self.existing or target in self.records


@dataclass(frozen=True, slots=True)
class Decision:
    """The record that the command made, changed or left as it was, and how the audit trail is to call that."""

    record: Record
    outcome: Outcome = "applied"
    action: str | None = None


C = TypeVar("C", bound=Command)
Handler = Callable[[C, State, Context], Decision]

HANDLERS: dict[type[Command], Handler[Command]] = {}


def handles(command: type[C]) -> Callable[[Handler[C]], Handler[C]]:
    """Register the decorated function as the one handler of `command`."""

    def register(handler: Handler[C]) -> Handler[C]:
        if HANDLERS.setdefault(command, handler) is not handler:  # type: ignore[arg-type]
            message = f"two handlers decide {command.kind}"
            raise TypeError(message)
        return handler

    return register
