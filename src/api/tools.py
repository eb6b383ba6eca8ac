"""The MCP tools: what each is called, takes, answers and needs. A command has its tool by being registered."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp import types
from pydantic import TypeAdapter

from api.calls import (
    Call,
    CreateTasks,
    GetRequest,
    GetTask,
    create_tasks,
    find_activities,
    find_audit_events,
    find_request,
    find_task,
    find_tasks,
    submit,
)
from api.inputs import ContractSchema, arguments_schema, input_schema, parse_arguments, parse_command
from api.results import BatchResults
from api.subjects import SUBJECTS
from api.views import ActivityPage, AuditEventPage, RequestFound, TaskFound, TaskPage, View
from core.activity.queries import ListActivities
from core.audit import ListAuditEvents
from core.commands import COMMANDS, Command, StrictModel
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.queries import ListTasks
from core.tenancy.model import Scope

A = TypeVar("A", bound=StrictModel)
_Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as clients see it, the scope that it needs, and what it does with arguments that nobody checked yet."""

    definition: types.Tool
    scope: str
    run: Callable[[Call, dict[str, Any]], Awaitable[View]]


def _write_tool(kind: type[Command]) -> Tool:
    async def run(call: Call, arguments: dict[str, Any]) -> View:
        command, key = parse_command(kind, arguments)
        return await submit(call, command, key)

    # Twice the same about a task that is named is once; a command without one makes a new task each time.
    annotations = _writes(idempotent=kind is UpdateTask)
    return Tool(_definition(kind, input_schema(kind), _written(kind), annotations), kind.scope, run)


def _complete_task() -> Tool:
    """Return the deprecated spelling of update_task with status completed."""

    async def run(call: Call, arguments: dict[str, Any]) -> View:
        command, key = parse_command(UpdateTask, arguments, status="completed")
        return await submit(call, command, key)

    schema = input_schema(UpdateTask, without=frozenset({"status"}))
    schema["properties"]["task_id"]["description"] = "Task ID to mark complete."
    schema["properties"]["completed_note"]["description"] = "Optional note describing the completion outcome."
    definition = types.Tool(
        name="complete_task",
        title="Complete task (deprecated)",
        description="Deprecated: use update_task with status completed, which takes the same completed_note.\n\n"
        "Mark a task complete in the current workspace.",
        input_schema=schema,
        output_schema=_written(UpdateTask),
        annotations=_writes(idempotent=True),
        meta={"baton/deprecated": {"replaced_by": "update_task"}},
    )
    return Tool(definition, UpdateTask.scope, run)


def _create_tasks() -> Tool:
    async def run(call: Call, arguments: dict[str, Any]) -> View:
        return await create_tasks(call, parse_arguments(CreateTasks, arguments))

    schema = arguments_schema(CreateTasks)
    schema["properties"]["tasks"]["items"] = input_schema(CreateTask)
    answers = _schema_of(TypeAdapter(BatchResults))
    return Tool(_definition(CreateTasks, schema, answers, _writes(idempotent=False)), CreateTask.scope, run)


def _read_tool(kind: type[A], answer: type[View], scope: Scope, look: Callable[[Call, A], Awaitable[View]]) -> Tool:
    async def run(call: Call, arguments: dict[str, Any]) -> View:
        return await look(call, parse_arguments(kind, arguments))

    return Tool(_definition(kind, arguments_schema(kind), _schema_of(TypeAdapter(answer)), _READS), scope, run)


def _definition(
    kind: type[StrictModel], takes: _Schema, answers: _Schema, annotations: types.ToolAnnotations
) -> types.Tool:
    """Return the definition of the tool that a class names and its docstring describes."""
    words = re.findall("[A-Z][a-z]*", kind.__name__)
    return types.Tool(
        name="_".join(words).lower(),
        title=" ".join(words).capitalize(),
        description=inspect.cleandoc(kind.__doc__ or ""),
        input_schema=takes,
        output_schema=answers,
        annotations=annotations,
    )


class _AnswerSchema(ContractSchema):
    """Without a title for every member, which would only repeat its name in the context of a model."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


def _schema_of(answer: TypeAdapter[Any]) -> _Schema:
    # Through 2025-11-25 the root must say that it is an object, also where it is a choice of two.
    return {"type": "object", **answer.json_schema(mode="serialization", schema_generator=_AnswerSchema)}


def _written(kind: type[Command]) -> _Schema:
    return _schema_of(SUBJECTS[kind.kind].answer)


def _writes(*, idempotent: bool) -> types.ToolAnnotations:
    # Not destructive: what a write changes can be changed back, and the audit trail says what it was.
    return types.ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=idempotent, open_world_hint=False
    )


_READS = types.ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

TOOLS: dict[str, Tool] = {
    tool.definition.name: tool
    for tool in (
        *map(_write_tool, COMMANDS.values()),
        _complete_task(),
        _create_tasks(),
        _read_tool(ListTasks, TaskPage, "tasks:read", find_tasks),
        _read_tool(GetTask, TaskFound, "tasks:read", find_task),
        _read_tool(GetRequest, RequestFound, "tasks:read", find_request),
        _read_tool(ListActivities, ActivityPage, "activity:read", find_activities),
        _read_tool(ListAuditEvents, AuditEventPage, "audit:read", find_audit_events),
    )
}
