"""A command is its class, its handler, its test, its MCP tool and its route; none of them may be missing."""

import json
import re

import pytest

import core.decisions  # noqa: F401 (registers the commands and handlers of this release)
from core.commands import COMMANDS, Command
from core.handlers import HANDLERS
from tests.servers import ROOT

every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))


def _stem(command: type[Command]) -> str:
    """Return the one stem by which a command is named everywhere: CreateTask is create_task."""
    return "_".join(re.findall("[A-Z][a-z]*", command.__name__)).lower()


def test_there_are_commands() -> None:
    assert COMMANDS


@every_command
def test_a_command_has_one_handler_that_is_named_after_it(command: type[Command]) -> None:
    assert HANDLERS[command].__name__ == _stem(command)
    assert HANDLERS[command].__module__ == command.__module__.replace(".commands", ".handlers")


def test_a_handler_belongs_to_a_command_that_can_be_asked_for() -> None:
    assert set(HANDLERS) == set(COMMANDS.values())


@every_command
def test_a_command_has_a_test_file(command: type[Command]) -> None:
    room = command.__module__.split(".")[1]

    assert (ROOT / "tests" / "core" / room / f"test_{_stem(command)}.py").is_file()


@every_command
def test_a_command_has_an_mcp_tool_of_its_members_description_and_scope(command: type[Command]) -> None:
    from api.tools import TOOLS  # noqa: PLC0415 (slow to import)

    tool = TOOLS[_stem(command)]
    assert set(tool.definition.input_schema["properties"]) == {*command.model_fields, "idempotency_key"}
    assert tool.definition.input_schema["additionalProperties"] is False
    assert (tool.definition.description or "").startswith((command.__doc__ or "").partition("\n")[0])
    assert tool.scope == command.scope


@every_command
def test_a_command_has_a_route_that_takes_its_members(command: type[Command]) -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    operations = {
        operation["operationId"]: (path, operation) for path, methods in paths.items() for operation in methods.values()
    }
    path, operation = next(found for id_, found in operations.items() if id_.startswith(_stem(command)))
    body = operation["requestBody"]["content"]["application/json"]["schema"]

    taken = set(body["properties"]) | set(re.findall(r"{(\w+)}", path))
    assert taken == {*command.model_fields, "idempotency_key"}
