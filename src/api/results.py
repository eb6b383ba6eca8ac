"""What callers are shown of commands that came together: one result for each, in the order of the commands."""

from typing import Annotated, Literal

from pydantic import Field

from api.views import Accepted, Present, Problem, TaskChanged, TaskReference, View

_Replayed = Annotated[Present[bool], Field(description="`true` where the key was used before, for the same command.")]


class CommandQueued(Accepted):
    """A receipt: the command is committed to the queue and will be executed once, whatever happens."""

    idempotent_replayed: _Replayed = None


class CommandSucceeded(TaskChanged):
    """A command that was waited for, with the task as it is now."""

    idempotent_replayed: _Replayed = None


class CommandFailed(View):
    """A command that was waited for and has failed when it was executed."""

    task: TaskReference
    request_id: str
    request_status: Literal["failed"] = "failed"
    idempotent_replayed: _Replayed = None
    error: Problem


class CommandRefused(View):
    """A command that was not accepted; the others were not touched by that."""

    error: Problem


Result = CommandSucceeded | CommandQueued | CommandFailed | CommandRefused


class BatchResults(View):
    """What came of each command, in order. Those that were accepted have a request id, those that were rejected not."""

    results: list[Result]
    accepted: int
    rejected: int
    request_id: str

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be executed."""
        return not any(isinstance(result, CommandQueued) for result in self.results)
