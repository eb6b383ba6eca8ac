"""How a command is decided: what a handler is given, what it returns, and which handler decides which kind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from core.commands import Command
from core.tasks.model import Source, Task
from core.tenancy.model import Actor

Outcome = Literal["applied", "unchanged"]


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one command; `now` is the instant at which its batch is decided."""

    tenant_id: str
    task_id: str
    actor: Actor
    source: Source
    now: datetime


@dataclass(slots=True)
class State:
    """What the commands of a batch name, as loaded: tasks by (tenant, id) and the related resources that exist."""

    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    resources: Collection[tuple[str, str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the task, and how the audit trail is to call it."""

    task: Task
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
