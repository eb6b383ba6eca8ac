"""Commands that come together: each is accepted or refused by itself, and what is accepted keeps its order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field

from api.inputs import KEY, as_object, parse_command
from api.results import BatchResults, CommandFailed, CommandQueued, CommandRefused, CommandSucceeded, Result
from api.runtime import Runtime
from api.views import Problem
from api.views import TaskReference as Reference
from api.writes import Written, write_all
from core.acceptance import Submission
from core.commands import Command, StrictModel
from core.errors import DomainError, FieldError, ValidationFailed
from core.queue import Lane
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Source
from core.tenancy.model import Caller

KINDS: dict[str, type[Command]] = {kind.kind: kind for kind in (CreateTask, UpdateTask)}
COMMAND = "command"
MOST_COMMANDS = 1_000
# What is larger has no part in the lane of those who write one by one, and wait.
MOST_INTERACTIVE = 100
_TURN = 20

T = TypeVar("T")

Keyed = tuple[Command, str | None]
"""A command and its idempotency key."""


class CommandBatch(StrictModel):
    """The body of a batch."""

    commands: list[Any] = Field(
        min_length=1,
        max_length=MOST_COMMANDS,
        description="What to do, in this order. Each is accepted or refused by itself.",
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Where commands came from together, and how long to wait until all of them are executed, in seconds.

    `place` is where they stand: the problem of one names it with the command's position appended.
    """

    runtime: Runtime
    caller: Caller
    source: Source
    request_id: str
    place: str
    wait: float

    async def submit(self, items: Sequence[Any], parse: Callable[[Any, int], Keyed]) -> BatchResults:
        """Submit what `parse` makes of each item and its position, and return what came of it.

        Raises:
            QueueFull: too much is waiting; none was accepted.
            Unavailable: Postgres cannot be reached; nothing is known to have been accepted.

        """
        lane: Lane = "interactive" if len(items) <= MOST_INTERACTIVE else "bulk"
        turn = self.runtime.bulk_turn if lane == "bulk" else nullcontext()
        async with turn:
            made = [self._submission(parse, item, index, lane) async for index, item in _in_turns(items)]
        submissions = [each for each in made if isinstance(each, Submission)]
        written = iter(await write_all(self.runtime, submissions, self.wait))
        outcomes = [next(written) if isinstance(each, Submission) else each for each in made]
        async with turn:
            results = [self._result(outcome, index) async for index, outcome in _in_turns(outcomes)]
        rejected = sum(isinstance(result, CommandRefused) for result in results)
        return BatchResults(
            results=results, accepted=len(results) - rejected, rejected=rejected, request_id=self.request_id
        )

    def _submission(
        self, parse: Callable[[Any, int], Keyed], item: object, index: int, lane: Lane
    ) -> Submission | ValidationFailed:
        try:
            command, key = parse(item, index)
        except ValidationFailed as error:
            return error
        return Submission(self.caller, self.source, command, key, lane)

    def _result(self, outcome: Written | DomainError, index: int) -> Result:
        instance = f"{self.place}/{index}"
        if isinstance(outcome, DomainError):
            refusal = outcome.problem(request_id=self.request_id, instance=instance)
            return CommandRefused(error=Problem.model_validate(refusal))
        receipt, replayed = outcome.receipt, outcome.receipt.replayed or None
        request_id, reference = receipt.request_id, Reference(id=outcome.id)
        if outcome.error is not None:
            failure = Problem.model_validate(outcome.error | {"instance": instance})
            return CommandFailed(task=reference, request_id=request_id, idempotent_replayed=replayed, error=failure)
        if outcome.record is not None:
            return CommandSucceeded(task=outcome.record, request_id=request_id, idempotent_replayed=replayed)
        return CommandQueued(task=reference, request_id=request_id, idempotent_replayed=replayed)


def parse_named(item: object, key: str | None) -> Keyed:
    """Return the command that an item names, and its idempotency key; `key` is for one that has none of its own.

    Raises:
        ValidationFailed: some members are not acceptable; all of them are named.

    """
    members = as_object(item)
    name = members.get(COMMAND)
    if not isinstance(name, str) or name not in KINDS:
        wrong = f"Input should be {' or '.join(map(repr, KINDS))}" if COMMAND in members else "Field required"
        raise ValidationFailed([FieldError(COMMAND, wrong)])
    rest = {name: value for name, value in members.items() if name != COMMAND}
    return parse_command(KINDS[name], rest, None if KEY in rest else key)


async def _in_turns(items: Sequence[T]) -> AsyncIterator[tuple[int, T]]:
    """Yield items by their positions, and let the process do something else after every few."""
    for index, item in enumerate(items):
        if index and index % _TURN == 0:
            await asyncio.sleep(0)
        yield index, item
