"""Commands that go wrong on purpose: their title or note says how."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import core.execution
from core.commands import Command
from core.handlers import HANDLERS, Context, Decision, State
from core.tasks.model import Task
from core.tasks.queries import TASKS

Failure = Callable[[Command, State, Context], Decision]


class Killed(BaseException):
    """Stands for the death of the worker: nothing in it may catch this."""


def install(monkeypatch: pytest.MonkeyPatch, command: type[Command], word: str, failure: Failure) -> None:
    """Let a handler do something else for the commands that hold a word."""
    handler = HANDLERS[command]

    def decide(command: Command, state: State, context: Context) -> Decision:
        return (failure if word in command.payload() else handler)(command, state, context)

    monkeypatch.setitem(HANDLERS, command, decide)


def raising(error: BaseException) -> Failure:
    """Crash."""

    def fail(*_: object) -> Decision:
        raise error

    return fail


def unwritable(handler: Callable[..., Decision], **values: Any) -> Failure:
    """Decide as a handler does, and put values into the task that Postgres does not take."""

    def decide(command: Command, state: State, context: Context) -> Decision:
        decision = handler(command, state, context)
        assert isinstance(decision.record, Task)
        return replace(decision, record=replace(decision.record, **values))

    return decide


def save_by(monkeypatch: pytest.MonkeyPatch, save: Callable[..., None]) -> None:
    """Let execution write tasks by another function."""
    monkeypatch.setattr(core.execution, "STORES", (replace(TASKS, save=save),))
