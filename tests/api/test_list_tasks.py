from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from dirty_equals import IsPartialDict, IsStr

from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import TASK_COLUMNS, Source
from tests.api.asking import Api, Json, refused_fields
from tests.workspaces import Workspace

NOON = datetime.fromisoformat("2026-12-04T12:00:00Z")


def _list(api: Api, **query: Any) -> list[Json]:
    response = api.get("/v1/tasks", **query)
    assert response.status_code == 200, response.text
    tasks: list[Json] = response.json()["tasks"]
    return tasks


def _ids(tasks: list[Json]) -> list[str]:
    return [task["id"] for task in tasks]


def _pages(api: Api, **query: Any) -> Iterator[list[Json]]:
    """Yield each page of a list, to the end."""
    while True:
        document = api.get("/v1/tasks", **query).json()
        yield document["tasks"]
        if "next_cursor" not in document:
            return
        query["cursor"] = document["next_cursor"]


def _walk(api: Api, **query: Any) -> list[Json]:
    return [task for page in _pages(api, **query) for task in page]


def test_the_contracts_example_gives_the_contracts_answer(api: Api) -> None:
    task_id = api.create("Follow up with Jane Doe")["id"]
    api.update(api.create("Another")["id"], status="canceled")

    response = api.get("/v1/tasks", status="open", limit=25)

    assert response.status_code == 200
    assert response.json() == {
        "tasks": [IsPartialDict(id=task_id, title="Follow up with Jane Doe", status="open")],
        "request_id": IsStr(regex="req_[0-9a-z]{26}"),
    }
    assert tuple(response.json()["tasks"][0]) == TASK_COLUMNS


def test_an_empty_workspace_has_an_empty_list(api: Api) -> None:
    document = api.get("/v1/tasks").json()

    assert document == {"tasks": [], "request_id": IsStr()}


def test_the_newest_task_comes_first(api: Api) -> None:
    created = [api.create(f"Call number {number}")["id"] for number in range(5)]

    assert _ids(_list(api)) == created[::-1]


def test_the_next_due_task_comes_first_where_the_due_date_is_asked_for(api: Api) -> None:
    hours = [3, 1, 2, 1]
    due = [api.create(due_at=(NOON + timedelta(hours=hour)).isoformat())["id"] for hour in hours]
    api.create("Without a due date")

    assert _ids(_list(api, due_after=NOON.isoformat())) == [due[1], due[3], due[2], due[0]]


def test_due_before_and_due_after_leave_out_their_own_instant(api: Api) -> None:
    task_id = api.create(due_at="2026-12-04T12:00:00Z")["id"]

    assert _list(api, due_before="2026-12-04T12:00:00Z") == []
    assert _list(api, due_after="2026-12-04T13:00:00+01:00") == []
    assert _ids(_list(api, due_before="2026-12-04T12:00:00.000001Z")) == [task_id]
    assert _ids(_list(api, due_after="2026-12-04T12:59:59.999999+01:00")) == [task_id]


# Each filter beside the condition that it stands for; related_resource_id needs the type beside it.
FILTERS: dict[str, tuple[dict[str, str], Callable[[Json], bool]]] = {
    "status": ({"status": "open"}, lambda task: task["status"] == "open"),
    "assignee_id": ({"assignee_id": "usr_2"}, lambda task: task["assignee_id"] == "usr_2"),
    "due_before": ({"due_before": "2026-12-05T00:00:00Z"}, lambda task: (task["due_at"] or "A") < "2026-12-05"),
    "due_after": ({"due_after": "2026-12-02T00:00:00Z"}, lambda task: (task["due_at"] or "") > "2026-12-02"),
    "type": ({"related_resource_type": "contact"}, lambda task: task["related_resource_type"] == "contact"),
    "resource": (
        {"related_resource_type": "contact", "related_resource_id": "one"},
        lambda task: (task["related_resource_type"], task["related_resource_id"]) == ("contact", "one"),
    ),
    "source": ({"source": "mcp"}, lambda task: task["source"] == "mcp"),
}


@pytest.fixture
def everything(api: Api, workspace: Workspace) -> list[Json]:
    """Tasks of every kind: half of them completed, with and without each member."""
    for type_ in ("contact", "deal"):
        workspace.link(type_, "one")
        workspace.link(type_, "two")
    creates: dict[Source, list[CreateTask]] = {"api": [], "mcp": []}
    for number in range(64):
        assignee, due, kind, id_, source = (number >> bit & 1 for bit in range(1, 6))
        members: Json = {"title": f"Task {number}"}
        if number % 5:
            members["assignee_id"] = f"usr_{assignee + 1}"
        if due:
            members["due_at"] = f"2026-12-0{number % 8 + 1}T09:00:00Z"
        if number % 7:
            members |= {"related_resource_type": ["contact", "deal"][kind], "related_resource_id": ["one", "two"][id_]}
        creates["mcp" if source else "api"].append(CreateTask.model_validate(members))
    receipts = [receipt for source, each in creates.items() for receipt in workspace.accept(*each, source=source)]
    halves = [UpdateTask(task_id=receipt.target_id, status="completed") for receipt in receipts[::2]]
    workspace.execute(*receipts, *workspace.accept(*halves))
    tasks = _walk(api, limit=100)
    assert len(tasks) == 64
    return tasks


def test_every_filter_and_every_combination_of_filters_finds_what_it_says(api: Api, everything: list[Json]) -> None:
    found = 0
    for size in range(1, len(FILTERS) + 1):
        for names in combinations(FILTERS, size):
            query = {name: value for each in names for name, value in FILTERS[each][0].items()}
            expected = {task["id"] for task in everything if all(FILTERS[each][1](task) for each in names)}
            listed = _list(api, limit=100, **query)
            assert set(_ids(listed)) == expected, names
            assert len(listed) == len(expected)
            found += len(expected)
    assert found > 400


@pytest.mark.parametrize("limit", [1, 7, 64, 100])
@pytest.mark.parametrize("query", [{}, {"status": "open"}, {"due_after": "2026-12-01T00:00:00Z"}], ids=repr)
def test_pages_of_any_size_give_the_whole_list_in_order(
    api: Api, everything: list[Json], limit: int, query: Json
) -> None:
    whole = _list(api, limit=100, **query)

    pages = list(_pages(api, limit=limit, **query))

    assert [task for page in pages for task in page] == whole
    assert {len(page) for page in pages[:-1]} <= {limit}
    assert 0 < len(pages[-1]) <= limit


def test_a_page_has_25_tasks_unless_told_otherwise(api: Api, everything: list[Json]) -> None:
    pages = list(_pages(api))

    assert [len(page) for page in pages] == [25, 25, 14]


def test_the_size_of_a_page_may_change_from_one_to_the_next(api: Api, everything: list[Json]) -> None:
    first = api.get("/v1/tasks", limit=3).json()
    second = api.get("/v1/tasks", limit=5, cursor=first["next_cursor"]).json()

    assert first["tasks"] + second["tasks"] == everything[:8]


def test_a_list_that_ends_with_its_page_has_no_next_one(api: Api) -> None:
    for _ in range(2):
        api.create()

    assert "next_cursor" not in api.get("/v1/tasks", limit=2).json()


@pytest.mark.parametrize("due", [False, True], ids=["newest first", "soonest due first"])
def test_paging_while_tasks_are_created_neither_skips_nor_repeats(api: Api, due: bool) -> None:  # noqa: FBT001
    query = {"due_after": NOON.isoformat(), "limit": 3} if due else {"limit": 3}
    at_first = [api.create(due_at=(NOON + timedelta(hours=number * 37 % 11 + 1)).isoformat()) for number in range(10)]
    seen: list[str] = []
    for page in _pages(api, **query):
        seen += _ids(page)
        hours = (0.5, 6, 24) if len(seen) < 10 else ()
        for hour in hours:
            api.create("In between", due_at=(NOON + timedelta(hours=hour)).isoformat())

    assert len(seen) == len(set(seen))
    assert set(_ids(at_first)) <= set(seen)
    if not due:
        assert seen == _ids(at_first)[::-1]


def test_paging_while_tasks_change_does_not_repeat(api: Api) -> None:
    at_first = [api.create()["id"] for _ in range(6)]
    seen: list[str] = []
    for page in _pages(api, status="open", limit=2):
        seen += _ids(page)
        for task_id in _ids(page):
            api.update(task_id, status="completed")

    assert seen == at_first[::-1]


@pytest.fixture
def cursor(api: Api) -> str:
    """The cursor of a list of open tasks."""
    for _ in range(2):
        api.create()
    found: str = api.get("/v1/tasks", status="open", limit=1).json()["next_cursor"]
    return found


def test_a_cursor_is_good_for_its_list_alone(api: Api, cursor: str) -> None:
    assert len(_list(api, status="open", cursor=cursor)) == 1

    others: list[Json] = [{}, {"status": "completed"}, {"status": "open", "source": "api"}, {"assignee_id": "usr_1"}]
    for other in others:
        assert refused_fields(api.get("/v1/tasks", cursor=cursor, **other)) == {"cursor"}
    assert refused_fields(api.get("/v1/audit-events", cursor=cursor)) == {"cursor"}


def test_a_cursor_is_good_for_its_workspace_alone(api: Api, stranger_api: Api, cursor: str) -> None:
    for _ in range(2):
        stranger_api.create()

    assert refused_fields(stranger_api.get("/v1/tasks", status="open", cursor=cursor)) == {"cursor"}


def test_a_cursor_with_any_character_changed_is_refused(api: Api, cursor: str) -> None:
    for position, character in enumerate(cursor):
        changed = cursor[:position] + ("B" if character == "A" else "A") + cursor[position + 1 :]
        assert refused_fields(api.get("/v1/tasks", status="open", cursor=changed)) == {"cursor"}


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "x",
        "AAAA",
        "null",
        "W10",
        "é",
        "\0",
        " ",
        "====",
        "../..",
        "' OR 1=1 --",
        "A" * 2_000,
        "A" * 2_001,
        "A" * 50_000,
    ],
    ids=lambda garbage: repr(garbage[:12]) + str(len(garbage)),
)
def test_what_is_no_cursor_is_refused_and_told_to_start_again(api: Api, garbage: str) -> None:
    response = api.get("/v1/tasks", cursor=garbage)

    assert refused_fields(response) == {"cursor"}


@pytest.mark.parametrize("cut", [slice(None, -1), slice(1, None), slice(None, 8)], ids=repr)
def test_a_part_of_a_cursor_is_refused(api: Api, cursor: str, cut: slice) -> None:
    assert refused_fields(api.get("/v1/tasks", status="open", cursor=cursor[cut])) == {"cursor"}


@pytest.mark.parametrize("more", ["A", "=", "\n", "AAAA"], ids=repr)
def test_a_cursor_with_something_behind_it_is_refused(api: Api, cursor: str, more: str) -> None:
    assert refused_fields(api.get("/v1/tasks", status="open", cursor=cursor + more)) == {"cursor"}
