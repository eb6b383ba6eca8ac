"""The tools as the product's public contract describes them, in both eras of the protocol."""

import re
from typing import Any

import pytest
from dirty_equals import IsPartialDict, IsStr
from psycopg import Connection

from api.tools import TOOLS
from core.commands import COMMANDS
from core.crm.queries import add_resource
from tests.api.conftest import MakeToken
from tests.api.serving import Worker
from tests.api.speaking import ERAS, Json, answer_of, client, message, post, reply_of, tool_call

STATUSES = ["open", "completed", "canceled"]
TYPES = ["contact", "company", "deal", "support_ticket"]
KEY = {"type": "string", "description": "Stable client-generated key that makes retries safe for this write."}

# As the contract has them, word for word.
CONTRACT: Json = {
    "create_task": {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "Short task title written for a human operator."},
            "description": {"type": "string", "description": "Optional task details or completion criteria."},
            "due_at": {
                "type": "string",
                "format": "date-time",
                "description": "Optional ISO 8601 due date and time.",
            },
            "assignee_id": {"type": "string", "description": "User or agent ID responsible for the task."},
            "related_resource_type": {
                "type": "string",
                "enum": TYPES,
                "description": "Resource type the task should be attached to.",
            },
            "related_resource_id": {"type": "string", "description": "Resource ID matching related_resource_type."},
            "idempotency_key": KEY,
        },
        "required": ["title"],
        "additionalProperties": False,
    },
    "list_tasks": {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": STATUSES, "description": "Filter tasks by lifecycle status."},
            "assignee_id": {
                "type": "string",
                "description": "Restrict results to tasks assigned to this user or agent.",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": 100,
                "description": "Maximum number of tasks to return.",
            },
            "cursor": {"type": "string", "description": "Opaque cursor from a previous response's next_cursor."},
        },
        "required": [],
        "additionalProperties": False,
    },
    "complete_task": {
        "type": "object",
        "properties": {
            "task_id": {"type": "string", "description": "Task ID to mark complete."},
            "completed_note": {
                "type": "string",
                "description": "Optional note describing the completion outcome.",
            },
            "idempotency_key": KEY,
        },
        "required": ["task_id"],
        "additionalProperties": False,
    },
    "update_task": {
        "type": "object",
        "properties": {
            "task_id": {"type": "string", "description": "Task ID to update."},
            "status": {"type": "string", "enum": STATUSES, "description": "Target task status."},
            "completed_note": {"type": "string", "description": "Optional completion note."},
            "idempotency_key": KEY,
        },
        "required": ["task_id"],
        "additionalProperties": False,
    },
}
# What Baton says beyond it: the filters that list_tasks's description promises, and what a due date must have.
PROMISED = {
    "due_before": {"type": "string", "format": "date-time"},
    "due_after": {"type": "string", "format": "date-time"},
    "related_resource_type": {"type": "string", "enum": TYPES},
    "related_resource_id": {"type": "string"},
}
SAID_MORE = {"Optional ISO 8601 due date and time.": "Optional ISO 8601 due date and time, with an offset."}
# How long or how small a value may be is not part of the contract.
LIMITS = {"minLength", "maxLength", "pattern", "default"}
DESCRIPTIONS = {
    "create_task": "Create a task for a user, agent, contact, company, or deal.",
    "list_tasks": "List tasks by status, assignee, due date, or related resource.",
    "complete_task": "Deprecated: use update_task with status completed",
    "update_task": "Update a task status, including canceling or reopening it.",
}


def without(schema: Json, *names: str) -> Json:
    return {name: value for name, value in schema.items() if name not in names}


def bare(schema: Json) -> Json:
    """Return an input schema without the limits of its values."""
    return {**schema, "properties": {name: without(each, *LIMITS) for name, each in schema["properties"].items()}}


def expected(name: str) -> Json:
    schema = CONTRACT[name]
    properties = {
        member: {**each, "description": SAID_MORE.get(each["description"], each["description"])}
        for member, each in schema["properties"].items()
    }
    return {**schema, "properties": properties}


@pytest.mark.parametrize("mode", ERAS)
async def test_every_tool_of_the_contract_is_listed_with_exactly_its_input_schema(
    url: str, token: str, mode: str
) -> None:
    async with client(url, token, mode) as connected:
        assert connected.protocol_version == ERAS[mode]
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
    assert set(tools) == {
        *CONTRACT,
        "create_tasks",
        "get_task",
        "get_request",
        "list_activities",
        "list_audit_events",
        "log_activity",
    }
    listed = {name: bare(tools[name].input_schema) for name in CONTRACT}
    promised = {name: listed["list_tasks"]["properties"].pop(name) for name in PROMISED}
    assert listed == {name: expected(name) for name in CONTRACT}
    assert {name: without(each, "description") for name, each in promised.items()} == PROMISED
    for name, words in DESCRIPTIONS.items():
        assert (tools[name].description or "").startswith(words)


async def test_create_tasks_takes_up_to_fifty_of_what_create_task_takes(url: str, token: str) -> None:
    async with client(url, token) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
    tasks = tools["create_tasks"].input_schema["properties"]["tasks"]
    assert tasks.pop("items") == tools["create_task"].input_schema
    assert without(tasks, "description") == {"type": "array", "minItems": 1, "maxItems": 50}
    assert tools["create_tasks"].input_schema["required"] == ["tasks"]


async def test_no_schema_takes_null_or_anything_undeclared(url: str, token: str) -> None:
    async with client(url, token) as connected:
        tools = (await connected.list_tools()).tools
    for tool in tools:
        assert tool.input_schema["additionalProperties"] is False
        assert "null" not in str(tool.input_schema)
        assert "None" not in str(tool.input_schema)
        for member in tool.input_schema["properties"].values():
            assert member["type"] in {"string", "integer", "array"}
            assert member["description"]


@pytest.mark.parametrize("mode", ERAS)
async def test_every_tool_says_how_it_behaves_and_what_it_answers(url: str, token: str, mode: str) -> None:
    async with client(url, token, mode) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
    hints = {
        name: tool.annotations.model_dump(exclude={"title"}) if tool.annotations else None
        for name, tool in tools.items()
    }
    change = {"read_only_hint": False, "destructive_hint": False, "open_world_hint": False}
    read = {"read_only_hint": True, "destructive_hint": False, "open_world_hint": False, "idempotent_hint": True}
    assert hints == {
        "create_task": {**change, "idempotent_hint": False},
        "create_tasks": {**change, "idempotent_hint": False},
        "update_task": {**change, "idempotent_hint": True},
        "complete_task": {**change, "idempotent_hint": True},
        "list_tasks": read,
        "get_task": read,
        "get_request": read,
        "list_audit_events": read,
        "log_activity": {**change, "idempotent_hint": False},
        "list_activities": read,
    }
    assert all(tool.title and tool.output_schema and tool.output_schema["type"] == "object" for tool in tools.values())
    assert tools["complete_task"].meta == {"baton/deprecated": {"replaced_by": "update_task"}}


def test_every_command_has_its_tool() -> None:
    words = [re.findall("[A-Z][a-z]*", kind.__name__) for kind in COMMANDS.values()]
    assert {"_".join(each).lower() for each in words} <= set(TOOLS)


async def test_every_tool_is_listed_whatever_the_scopes(url: str, make_token: MakeToken) -> None:
    async with client(url, make_token("crm:read")) as connected:
        assert len((await connected.list_tools()).tools) == 10


@pytest.mark.parametrize("mode", ERAS)
async def test_the_example_inputs_give_the_example_responses(
    url: str, token: str, worker: Worker, connection: Connection[Any], tenant: str, mode: str
) -> None:
    add_resource(connection, tenant, "contact", "con_123", "Jane Doe")
    request_id = IsStr(regex="req_[0-9a-z]{26}")
    async with client(url, token, mode) as connected:
        await connected.list_tools()  # from then on the client checks answers against the output schemas

        async def answer(tool: str, **arguments: object) -> Json:
            return answer_of(await connected.call_tool(tool, arguments))

        created = await answer(
            "create_task",
            title="Follow up with Jane Doe",
            related_resource_type="contact",
            related_resource_id="con_123",
        )
        assert created == IsPartialDict(
            task=IsPartialDict(title="Follow up with Jane Doe", status="open", source="mcp", tenant_id=tenant),
            request_id=request_id,
            request_status="succeeded",
        )
        task_id = created["task"]["id"]
        assert task_id == IsStr(regex="task_[0-9a-z]{26}")
        assert created["task"]["last_agent_actor_id"] == "agt_1"

        listed = await answer("list_tasks", status="open", limit=25)
        assert listed == {"tasks": [created["task"]], "request_id": request_id}
        assert listed["request_id"] != created["request_id"]

        completed = await answer("complete_task", task_id=task_id, completed_note="Jane replied.")
        assert completed["task"] == IsPartialDict(id=task_id, status="completed", completed_note="Jane replied.")
        assert completed["request_id"] == request_id

        note = "Jane confirmed the next call."
        updated = await answer("update_task", task_id=task_id, status="completed", completed_note=note)
        assert updated["task"] == IsPartialDict(id=task_id, status="completed", completed_note=note)
        assert updated["request_id"] == request_id


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_version_with_a_handshake_is_served(url: str, token: str, worker: Worker, version: str) -> None:
    hello = message("initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "test", "version": "1"})
    result = reply_of(post(url, token, hello))["result"]
    assert result["protocolVersion"] == version
    assert result["serverInfo"] == IsPartialDict(name="baton")
    assert "idempotency_key" in result["instructions"]
    headers = {"mcp-protocol-version": version}
    assert len(reply_of(post(url, token, message("tools/list"), headers))["result"]["tools"]) == 10
    called = reply_of(post(url, token, tool_call("create_task", {"title": "Call"}), headers))["result"]
    assert '"request_status":"succeeded"' in called["content"][0]["text"]
