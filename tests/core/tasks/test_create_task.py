from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

import core.tasks.handlers  # noqa: F401 (registers them)
from core.errors import ResourceNotFound
from core.tasks.commands import CreateTask
from core.tasks.model import Task
from core.tenancy.model import Actor
from tests.core.tasks.deciding import AGENT, NOW, PERSON, SERVICE, decide, task_of

EVERYTHING = {
    "title": "Follow up with Jane Doe",
    "description": "About the pricing",
    "due_at": "2026-12-04T10:00:00+01:00",
    "assignee_id": "usr_2",
    "related_resource_type": "contact",
    "related_resource_id": "con_123",
}


def _refused(members: object) -> list[str]:
    """Return the fields that are refused, or the rules over several members that are broken."""
    with pytest.raises(ValidationError) as refused:
        CreateTask.model_validate(members)
    return [".".join(map(str, error["loc"])) or error["type"] for error in refused.value.errors()]


def test_a_title_alone_makes_an_open_task() -> None:
    decision = decide(CreateTask(title="Call Jane"))

    assert decision.outcome == "applied"
    assert decision.record == Task(
        id="task_1", tenant_id="ten_1", title="Call Jane", source="mcp", created_at=NOW, updated_at=NOW
    )
    assert (task_of(decision).status, task_of(decision).revision, task_of(decision).last_agent_actor_id) == (
        "open",
        1,
        None,
    )


def test_every_member_given_is_in_the_task() -> None:
    command = CreateTask.model_validate(EVERYTHING)

    task = task_of(decide(command, resources=[("ten_1", "contact", "con_123")]))

    assert (task.title, task.description, task.assignee_id) == ("Follow up with Jane Doe", "About the pricing", "usr_2")
    assert task.due_at == datetime(2026, 12, 4, 9, tzinfo=UTC)
    assert (task.related_resource_type, task.related_resource_id) == ("contact", "con_123")


@pytest.mark.parametrize(
    "resources",
    [
        [],
        [("ten_2", "contact", "con_123")],
        [("ten_1", "company", "con_123")],
        [("ten_1", "contact", "con_124")],
        [("ten_1", "contact", "CON_123")],
    ],
)
def test_a_related_resource_that_is_not_in_the_workspace_is_not_found(resources: list[tuple[str, str, str]]) -> None:
    with pytest.raises(ResourceNotFound, match="contact con_123"):
        decide(CreateTask.model_validate(EVERYTHING), resources=resources)


@pytest.mark.parametrize(("actor", "expected"), [(PERSON, None), (SERVICE, None), (AGENT, "agt_1")])
def test_only_an_agent_is_kept_as_the_agent_that_touched_the_task(actor: Actor, expected: str | None) -> None:
    assert task_of(decide(CreateTask(title="Call Jane"), actor=actor)).last_agent_actor_id == expected


def test_the_audit_trail_is_told_that_a_task_was_to_be_open_and_what_it_is_linked_to() -> None:
    command = CreateTask.model_validate(EVERYTHING)

    assert (command.action, command.requested_status) == ("task.create", "open")
    assert command.linked_resource == ("contact", "con_123")
    assert CreateTask(title="Call Jane").linked_resource is None


@pytest.mark.parametrize(
    "members",
    [
        {"title": "x"},
        {"title": "x" * 500},
        {"title": "\N{SLIGHTLY SMILING FACE}" * 500},
        {"title": "  a  "},
        {"title": "Grüße\n\tan 社長"},
        {"description": ""},
        {"description": "x" * 20_000},
        {"assignee_id": "u" * 255},
        {"due_at": "2026-12-04T09:00:00Z"},
        {"due_at": "2026-12-04t09:00:00z"},
        {"due_at": "2026-12-04T09:00:00.123456789-11:30"},
        {"due_at": "0001-01-01T00:00:00Z"},
        {"due_at": "9999-12-31T23:59:59.999999Z"},
        {"due_at": "2028-02-29T00:00:00+00:00"},
        *[
            {"related_resource_type": type_, "related_resource_id": "x"}
            for type_ in ("contact", "company", "deal", "support_ticket")
        ],
    ],
    ids=lambda members: str(members)[:60],
)
def test_what_the_contract_allows_is_accepted(members: dict[str, Any]) -> None:
    command = CreateTask.model_validate({"title": "Call Jane"} | members)

    assert command.model_fields_set == {"title"} | set(members)


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({}, ["title"]),
        ({"title": None}, ["title"]),
        ({"title": ""}, ["title"]),
        ({"title": "   "}, ["title"]),
        ({"title": "\t\n\u00a0\u3000"}, ["title"]),
        ({"title": "x" * 501}, ["title"]),
        ({"title": "a\x00b"}, ["title"]),
        ({"title": "\ud800"}, ["title"]),
        ({"title": "\udfff\ud800"}, ["title"]),
        ({"title": 1}, ["title"]),
        ({"title": True}, ["title"]),
        ({"title": ["Call Jane"]}, ["title"]),
        ({"title": b"Call Jane"}, ["title"]),
        ({"title": "x", "description": None}, ["description"]),
        ({"title": "x", "description": "x" * 20_001}, ["description"]),
        ({"title": "x", "description": "\x00"}, ["description"]),
        ({"title": "x", "description": "\ud83d"}, ["description"]),
        ({"title": "x", "description": {}}, ["description"]),
        ({"title": "x", "due_at": None}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:00"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04 09:00:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:00+0100"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:00Z\n"}, ["due_at"]),
        ({"title": "x", "due_at": "٢٠٢٦-12-04T09:00:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-02-30T09:00:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T25:00:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:61Z"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:00+25:00"}, ["due_at"]),
        ({"title": "x", "due_at": "2026-12-04T09:00:00+01:75"}, ["due_at"]),
        ({"title": "x", "due_at": "0000-01-01T00:00:00Z"}, ["due_at"]),
        ({"title": "x", "due_at": "0001-01-01T00:00:00+01:00"}, ["due_at"]),
        ({"title": "x", "due_at": "9999-12-31T23:59:59-01:00"}, ["due_at"]),
        ({"title": "x", "due_at": 1_780_000_000}, ["due_at"]),
        ({"title": "x", "due_at": ""}, ["due_at"]),
        ({"title": "x", "due_at": datetime(2026, 12, 4)}, ["due_at"]),  # noqa: DTZ001 (naive is the point)
        ({"title": "x", "assignee_id": ""}, ["assignee_id"]),
        ({"title": "x", "assignee_id": " "}, ["assignee_id"]),
        ({"title": "x", "assignee_id": "u" * 256}, ["assignee_id"]),
        ({"title": "x", "assignee_id": None}, ["assignee_id"]),
        ({"title": "x", "assignee_id": 7}, ["assignee_id"]),
        ({"title": "x", "related_resource_type": "contact"}, ["related_resource_id"]),
        ({"title": "x", "related_resource_id": "con_123"}, ["related_resource_id"]),
        (
            {"title": "x", "related_resource_type": "contact", "related_resource_id": None},
            ["related_resource_id"],
        ),
        (
            {"title": "x", "related_resource_type": "Contact", "related_resource_id": "con_123"},
            ["related_resource_type"],
        ),
        (
            {"title": "x", "related_resource_type": "lead", "related_resource_id": "lead_1"},
            ["related_resource_type"],
        ),
        ({"title": "x", "status": "open"}, ["status"]),
        ({"title": "x", "source": "admin"}, ["source"]),
        ({"title": "x", "tenant_id": "ten_2"}, ["tenant_id"]),
        ({"title": "x", "id": "task_2"}, ["id"]),
        ({"title": "x", "actor_id": "usr_2"}, ["actor_id"]),
        ({"title": "x", "last_agent_actor_id": "agt_2"}, ["last_agent_actor_id"]),
        ({"title": "x", "Title": "y"}, ["Title"]),
        ({"titel": "x", "due": "tomorrow"}, ["due", "titel", "title"]),
    ],
    ids=lambda value: ascii(value)[:70],
)
def test_what_the_contract_does_not_allow_is_refused_by_name(members: dict[str, Any], fields: list[str]) -> None:
    assert sorted(_refused(members)) == fields


@pytest.mark.parametrize("members", [None, [], "title", 1, [["title", "x"]]])
def test_what_is_no_object_is_refused(members: object) -> None:
    assert _refused(members)


@pytest.mark.parametrize("text", ['{"title": "\\ud800"}', '{"title": "\\u0000"}', '{"title": 1}', '{"title": "x"'])
def test_json_is_no_way_around(text: str) -> None:
    with pytest.raises(ValidationError):
        CreateTask.model_validate_json(text)


def test_a_command_cannot_be_changed() -> None:
    command = CreateTask(title="Call Jane")

    with pytest.raises(ValidationError):
        command.title = "Call Joe"  # type: ignore[misc]


def test_every_create_has_a_task_of_its_own() -> None:
    command = CreateTask(title="Call Jane")

    assert command.target("req_1") == ("task", "task_1")
    assert command.target("req_2") == ("task", "task_2")
