"""Bodies that no client should send: each is refused as a problem that names the fault, and nothing is accepted."""

import pytest

from tests.api.asking import Api, problem_of, refused_fields

pytestmark = pytest.mark.usefixtures("nothing_is_accepted")

WRITES = [("POST", "/v1/tasks"), ("PATCH", "/v1/tasks/task_1")]
DEEP = 100_000


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({}, {"title"}),
        ({"title": None}, {"title"}),
        ({"title": 5}, {"title"}),
        ({"title": True}, {"title"}),
        ({"title": ["x"]}, {"title"}),
        ({"title": {"x": "y"}}, {"title"}),
        ({"title": ""}, {"title"}),
        ({"title": " \t\n\u00a0\u3000"}, {"title"}),
        ({"title": "\u200b\ufeff\u2060"}, {"title"}),
        ({"title": "x" * 501}, {"title"}),
        ({"title": "a\0b"}, {"title"}),
        ({"title": "x", "description": None}, {"description"}),
        ({"title": "x", "description": 0}, {"description"}),
        ({"title": "x", "description": "x" * 20_001}, {"description"}),
        ({"title": "x", "description": "\0"}, {"description"}),
        ({"title": "x", "assignee_id": None}, {"assignee_id"}),
        ({"title": "x", "assignee_id": ""}, {"assignee_id"}),
        ({"title": "x", "assignee_id": " "}, {"assignee_id"}),
        ({"title": "x", "assignee_id": "\u200b"}, {"assignee_id"}),
        ({"title": "x", "assignee_id": "x" * 256}, {"assignee_id"}),
        ({"title": "x", "due_at": None}, {"due_at"}),
        ({"title": "x", "due_at": ""}, {"due_at"}),
        ({"title": "x", "due_at": "next Friday"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04T09:00:00"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04 09:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-02-30T09:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04T25:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04T09:00:00+25:00"}, {"due_at"}),
        ({"title": "x", "due_at": "2026-12-04T09:00:00Z\n"}, {"due_at"}),
        ({"title": "x", "due_at": "２０２６-12-04T09:00:00Z"}, {"due_at"}),  # noqa: RUF001 (digits of another alphabet)
        ({"title": "x", "due_at": "0000-01-01T00:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": "0001-01-01T00:00:00+01:00"}, {"due_at"}),
        ({"title": "x", "due_at": "9999-12-31T23:59:59-01:00"}, {"due_at"}),
        ({"title": "x", "due_at": "10000-01-01T00:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": "-2026-12-04T09:00:00Z"}, {"due_at"}),
        ({"title": "x", "due_at": 1_796_374_800}, {"due_at"}),
        ({"title": "x", "due_at": 1e308}, {"due_at"}),
        ({"title": "x", "related_resource_type": "contact"}, {"related_resource_id"}),
        ({"title": "x", "related_resource_id": "con_123"}, {"related_resource_id"}),
        (
            {"title": "x", "related_resource_type": None, "related_resource_id": None},
            {"related_resource_type", "related_resource_id"},
        ),
        ({"title": "x", "related_resource_type": "invoice", "related_resource_id": "i"}, {"related_resource_type"}),
        ({"title": "x", "related_resource_type": "Contact", "related_resource_id": "i"}, {"related_resource_type"}),
        ({"title": "x", "related_resource_type": "contact", "related_resource_id": ""}, {"related_resource_id"}),
        ({"title": "x", "nope": 1}, {"nope"}),
        ({"title": "x", "Title": "y", "ti\0tle": "z", "title ": "x"}, {"Title", "ti\0tle", "title "}),
        ({"title": "x", "status": "completed"}, {"status"}),
        ({"title": "x", "source": "admin", "tenant_id": "ten_1", "id": "task_1"}, {"source", "tenant_id", "id"}),
        (
            {"title": "x", "last_agent_actor_id": "agt_1", "completed_note": "x"},
            {"last_agent_actor_id", "completed_note"},
        ),
        ({"title": 5, "due_at": "x", "nope": 1, "idempotency_key": 5}, {"title", "due_at", "nope", "idempotency_key"}),
    ],
    ids=repr,
)
def test_a_task_that_is_not_well_formed_is_refused_by_field(
    api: Api, members: dict[str, object], fields: set[str]
) -> None:
    assert refused_fields(api.post("/v1/tasks", members)) == fields


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        ({"status": None}, {"status"}),
        ({"status": "done"}, {"status"}),
        ({"status": "Completed"}, {"status"}),
        ({"status": "completed\0"}, {"status"}),
        ({"status": ["completed"]}, {"status"}),
        ({"status": "completed", "completed_note": None}, {"completed_note"}),
        ({"status": "completed", "completed_note": 5}, {"completed_note"}),
        ({"status": "completed", "completed_note": "\0"}, {"completed_note"}),
        ({"status": "completed", "completed_note": "x" * 20_001}, {"completed_note"}),
        ({"status": "open", "completed_note": "x"}, {"completed_note"}),
        ({"status": "canceled", "completed_note": "x"}, {"completed_note"}),
        ({"status": "completed", "task_id": "task_1"}, {"task_id"}),
        ({"status": "completed", "task_id": "task_2"}, {"task_id"}),
        ({"title": "Another title"}, {"title"}),
        ({"status": "x", "completed_note": 5, "nope": 1}, {"status", "completed_note", "nope"}),
    ],
    ids=repr,
)
def test_an_update_that_is_not_well_formed_is_refused_by_field(
    api: Api, members: dict[str, object], fields: set[str]
) -> None:
    assert refused_fields(api.patch("/v1/tasks/task_1", members)) == fields


def test_a_refusal_speaks_of_characters_and_says_how_many(api: Api) -> None:
    response = api.post("/v1/tasks", {"title": "x" * 501, "assignee_id": ""})

    assert problem_of(response, 422, "validation_failed")["field_errors"] == [
        {"field": "title", "message": "String should have at most 500 characters"},
        {"field": "assignee_id", "message": "String should have at least 1 character"},
    ]


def test_a_refusal_names_the_first_faults_in_its_detail_and_all_of_them_by_field(api: Api) -> None:
    response = api.post("/v1/tasks", {f"nope_{number}": 1 for number in range(50)})

    problem = problem_of(response, 422, "validation_failed")
    assert len(problem["field_errors"]) == 51
    assert problem["detail"].startswith("title: ")
    assert len(problem["detail"]) < 500


def test_of_very_many_members_none_is_named(api: Api) -> None:
    response = api.post("/v1/tasks", {"title": "x", **{f"nope_{number}": 1 for number in range(50_000)}})

    assert refused_fields(response) == {"body"}
    assert len(response.content) < 1_000


def test_of_very_many_members_that_are_given_twice_a_few_are_named(api: Api) -> None:
    members = b",".join(b'"%d": 1, "%d": 2' % (number, number) for number in range(30_000))

    assert len(refused_fields(api.send("POST", "/v1/tasks", content=b"{" + members + b"}"))) == 100


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}}",
        b'{"title": "x"',
        b'{"title": "x",}',
        b"{'title': 'x'}",
        b'{"title": "x"} {"title": "y"}',
        b"title=x",
        b"[]",
        b'[{"title": "x"}]',
        b'"title"',
        b"null",
        b"true",
        b"5",
        b'{"title": NaN}',
        b'{"title": -Infinity}',
        b'{"title": 0x10}',
        b'{"title": "\\x"}',
        b'{"title": "\n"}',
        b'{"title": "\xff"}',
        b'{"title": "\xed\xa0\x80"}',
        b'{"title": "\xc0\xaf"}',
        b'{"title": "\\ud800"}',
        b'{"title": "\\udc00\\ud800"}',
        b'{"\\ud800": 1, "title": "x"}',
        b'\xef\xbb\xbf{"title": "x"}',
        '{"title": "x"}'.encode("utf-16"),
        '{"title": "x"}'.encode("utf-32"),
        b"\x1f\x8b\x08\x00",
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"title": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    ],
    ids=lambda body: f"{body[:40]!r} of {len(body)}",
)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_body_that_is_no_json_object_is_refused(api: Api, method: str, path: str, body: bytes) -> None:
    assert refused_fields(api.send(method, path, content=body)) == {"body"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": 1e999999}',
        b'{"title": 99999999999999999999999999999999999999999999999999}',
        b'{"title": -0.0}',
        b'{"title": 1E400}',
    ],
    ids=repr,
)
def test_a_number_of_any_size_is_no_title(api: Api, body: bytes) -> None:
    assert refused_fields(api.send("POST", "/v1/tasks", content=body)) == {"title"}


def test_a_number_of_a_million_digits_is_refused(api: Api) -> None:
    response = api.send("POST", "/v1/tasks", content=b'{"title": ' + b"9" * 1_000_000 + b"}")

    assert refused_fields(response) <= {"body", "title"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"title": "x", "title": "x"}', {"title"}),
        (b'{"title": "x", "t\\u0069tle": "y"}', {"title"}),
        (b'{"title": "x", "description": {"a": 1, "a": 2}}', {"a"}),
        (b'{"title"\n\t :"x", "title"\r\n:"x"}', {"title"}),
        (b'{"title": "\\": \\":", "title": "x"}', {"title"}),
        (b'{"title": [{"a": 1}, {"b": [{"c": 1, "c": 1}]}]}', {"c"}),
    ],
    ids=repr,
)
def test_a_member_that_is_given_twice_is_refused(api: Api, body: bytes, fields: set[str]) -> None:
    assert refused_fields(api.send("POST", "/v1/tasks", content=body)) == fields


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "gzip, identity", "x"])
def test_a_body_in_a_coding_is_refused_before_it_is_read(api: Api, method: str, path: str, coding: str) -> None:
    response = api.send(method, path, content=b'{"title": "x"}', headers={"Content-Encoding": coding})

    assert coding in problem_of(response, 415, "unsupported_media_type")["detail"]


def test_the_coding_that_is_none_is_no_coding(api: Api) -> None:
    response = api.send("POST", "/v1/tasks", content=b"{}", headers={"Content-Encoding": "Identity"})

    assert refused_fields(response) == {"title"}


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_of_two_megabytes_is_too_large(api: Api, method: str, path: str, declared: bool) -> None:  # noqa: FBT001
    body = b'{"title": "' + b"x" * 2_000_000 + b'"}'
    pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    response = api.send(method, path, content=body if declared else pieces)

    assert "1,048,576 bytes" in problem_of(response, 413, "payload_too_large")["detail"]


def test_a_body_that_is_just_small_enough_is_read(api: Api) -> None:
    body = b'{"nope": "' + b"x" * (1_048_576 - 12) + b'"}'

    assert len(body) == 1_048_576
    assert refused_fields(api.send("POST", "/v1/tasks", content=body)) == {"title", "nope"}
