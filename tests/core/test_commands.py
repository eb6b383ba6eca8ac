"""The registry of commands, and what makes two commands equal under one idempotency key."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from core.commands import COMMANDS, Command
from core.decisions import read
from core.handlers import HANDLERS, Context, Decision, State, handles
from core.queued import QueuedRequest
from core.tasks.commands import CreateTask, UpdateTask


@pytest.fixture
def registry() -> Iterator[None]:
    """Forget what the test registers."""
    commands, handlers = dict(COMMANDS), dict(HANDLERS)
    yield
    COMMANDS.clear()
    COMMANDS.update(commands)
    HANDLERS.clear()
    HANDLERS.update(handlers)


@pytest.mark.usefixtures("registry")
def test_a_command_is_known_by_its_kind_as_soon_as_it_is_written() -> None:
    class Juggle(Command):
        kind: ClassVar[str] = "task.juggle"

    assert COMMANDS["task.juggle"] is Juggle


@pytest.mark.usefixtures("registry")
def test_a_kind_that_is_taken_fails_at_import() -> None:
    with pytest.raises(TypeError, match=r"two commands are called task\.create"):

        class CreateAgain(Command):
            kind: ClassVar[str] = "task.create"

    assert COMMANDS["task.create"] is CreateTask


@pytest.mark.usefixtures("registry")
def test_a_command_with_two_handlers_fails_at_import() -> None:
    def another(command: CreateTask, state: State, context: Context) -> Decision:
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"two handlers decide task\.create"):
        handles(CreateTask)(another)


def test_kinds_name_resource_and_verb_and_are_never_renamed() -> None:
    assert {kind: command.__name__ for kind, command in COMMANDS.items()} == {
        "activity.log": "LogActivity",
        "task.create": "CreateTask",
        "task.update": "UpdateTask",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"title": "x", "description": "y"}, {"description": "y", "title": "x"}),
        ({"title": "x", "due_at": "2026-12-04T09:00:00Z"}, {"title": "x", "due_at": "2026-12-04T10:00:00+01:00"}),
        ({"title": "x", "due_at": "2026-12-04T09:00:00Z"}, {"title": "x", "due_at": "2026-12-04T09:00:00.000000Z"}),
    ],
)
def test_commands_that_say_the_same_are_equal_under_a_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = CreateTask.model_validate(one), CreateTask.model_validate(other)

    assert first.payload() == second.payload()
    assert first.fingerprint() == second.fingerprint()


def test_one_instant_is_one_payload_whatever_its_zone() -> None:
    instant = datetime(2026, 12, 4, 9, tzinfo=UTC)
    elsewhere = instant.astimezone(timezone(timedelta(hours=1)))

    assert CreateTask(title="x", due_at=instant).fingerprint() == CreateTask(title="x", due_at=elsewhere).fingerprint()


def test_commands_that_differ_in_anything_differ_under_a_key() -> None:
    commands: list[Command] = [
        CreateTask(title="x"),
        CreateTask(title="x "),
        CreateTask(title="X"),
        CreateTask(title="x", description=""),
        CreateTask(title="x", description="y"),
        CreateTask(title="x", assignee_id="y"),
        CreateTask.model_validate({"title": "x", "due_at": "2026-12-04T09:00:00Z"}),
        CreateTask.model_validate({"title": "x", "due_at": "2026-12-04T09:00:00.000001Z"}),
        CreateTask(title="x", related_resource_type="deal", related_resource_id="1"),
        CreateTask(title="x", related_resource_type="company", related_resource_id="1"),
        UpdateTask(task_id="x"),
        UpdateTask(task_id="x", status="completed"),
        UpdateTask(task_id="x", status="completed", completed_note=""),
        UpdateTask(task_id="y", status="completed"),
    ]

    assert len({command.fingerprint() for command in commands}) == len(commands)


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_schema_of_a_command_is_strict_and_describes_every_member(kind: str) -> None:
    schema = COMMANDS[kind].model_json_schema()

    assert schema["additionalProperties"] is False
    assert all(member["description"] for member in schema["properties"].values())


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_says_what_it_does_and_which_scope_it_needs(kind: str) -> None:
    command = COMMANDS[kind]

    assert command.__doc__
    assert command.__doc__ != Command.__doc__
    assert command.scope == {"task": "tasks:write", "activity": "activity:write"}[kind.partition(".")[0]]


@pytest.mark.parametrize(
    "members",
    [
        {
            "title": 'Grüße \\ " \n \N{SLIGHTLY SMILING FACE}',
            "due_at": "2026-12-04T09:00:00.123456+05:30",
            "related_resource_type": "support_ticket",
            "related_resource_id": "tic_1",
        },
        {"title": " x ", "description": ""},
    ],
)
def test_a_worker_reads_the_command_that_was_submitted(members: dict[str, Any]) -> None:
    command = CreateTask.model_validate(members)
    payload = CreateTask.model_validate_json(command.payload()).model_dump(mode="json", exclude_unset=True)
    request = QueuedRequest(
        tenant_id="ten_1",
        id="req_1",
        command="task.create",
        payload=payload,
        target_type="task",
        target_id="task_1",
        actor_id="usr_1",
        actor_type="user",
        actor_name="Pat Person",
        source="api",
        attempts=0,
    )

    assert read(request).command == command


def test_a_command_of_unknown_members_cannot_be_made() -> None:
    with pytest.raises(ValidationError):
        Command.model_validate({"anything": 1})
