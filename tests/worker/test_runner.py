"""What a worker process does with a message, on servers that fail."""

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection

import core.execution
from core.tasks.commands import CreateTask
from core.tasks.queries import save_tasks
from tests.workspaces import Workspace
from worker.runner import Runner

either_way = pytest.mark.parametrize("alone", [False, True], ids=["in a batch", "alone"])


def _failing(times: int, fail: Callable[[Connection[Any]], None]) -> Callable[..., None]:
    """Return a `save_tasks` that fails the first times."""
    left = iter(range(times))

    def save_or_fail(connection: Connection[Any], tasks: list[Any]) -> None:
        if next(left, None) is not None:
            fail(connection)
        save_tasks(connection, tasks)

    return save_or_fail


def _time_out(connection: Connection[Any]) -> None:
    connection.execute("SET LOCAL statement_timeout = 1")
    connection.execute("SELECT pg_sleep(10)")


def _break(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@either_way
@pytest.mark.parametrize("fail", [_time_out, _break])
def test_a_database_that_fails_is_tried_again_and_never_counts_as_an_attempt(
    workspace: Workspace,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[Connection[Any]], None],
    *,
    alone: bool,
) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    monkeypatch.setattr(core.execution, "save_tasks", _failing(workspace.settings.max_attempts + 1, fail))

    runner.execute(workspace.batch(receipt), alone=alone)

    assert workspace.statuses([receipt]) == ["succeeded"]
    assert workspace.request(receipt).attempts == 1
    assert len(workspace.events()) == 1
