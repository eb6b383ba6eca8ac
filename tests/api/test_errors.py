"""Parameters, paths and methods that are none: each is refused as a problem that names the fault."""

import pytest

from tests.api.asking import Api, ask_raw, problem_of, refused_fields

pytestmark = pytest.mark.usefixtures("nothing_is_accepted")

WRITES = [("POST", "/v1/tasks"), ("PATCH", "/v1/tasks/task_1")]
LISTS = ["/v1/tasks", "/v1/audit-events", "/v1/tasks/task_1/audit-events", "/v1/imports"]
READS = [*LISTS, "/v1/tasks/task_1", "/v1/requests/req_1", "/v1/requests?idempotency_key=k"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "limit",
    [
        *("0", "-1", "101", "1000000000000000000000", "9" * 5000, "abc", "", "1.5", "1e1", "0x10", "٣", "true", "\0"),
        *("1_0", " 1", "1 ", "+5", "5.0", "1\n"),
    ],
)
def test_a_limit_that_is_no_number_from_1_to_100_is_refused(api: Api, path: str, limit: str) -> None:
    assert refused_fields(api.get(path, limit=limit)) == {"limit"}


@pytest.mark.parametrize("path", READS)
def test_an_unknown_parameter_is_refused(api: Api, path: str) -> None:
    assert refused_fields(api.send("GET", f"{path}{'&' if '?' in path else '?'}nope=1")) == {"nope"}


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_parameter_of_a_write_is_refused_and_not_ignored(api: Api, method: str, path: str) -> None:
    response = api.send(method, f"{path}?idempotency_key=k", json={"title": "x"})

    assert "idempotency_key" in refused_fields(response)


@pytest.mark.parametrize("path", READS)
def test_a_parameter_that_is_given_twice_is_refused(api: Api, path: str) -> None:
    twice = f"{path}{'&' if '?' in path else '?'}limit=1&limit=1"

    assert refused_fields(api.send("GET", twice)) == {"limit"}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"status": ""},
        {"status": "open\0"},
        {"assignee_id": ""},
        {"assignee_id": "\0"},
        {"assignee_id": "x" * 256},
        {"due_before": "2026-12-04"},
        {"due_before": "2026-12-04T09:00:00"},
        {"due_before": "1796374800"},
        {"due_after": "now"},
        {"related_resource_type": "invoice"},
        {"source": "web"},
        {"after_request": ""},
        {"after_request": "\0"},
        {"tenant_id": "ten_1"},
    ],
    ids=repr,
)
def test_a_filter_that_is_not_well_formed_is_refused_by_name(api: Api, query: dict[str, str]) -> None:
    assert refused_fields(api.send("GET", "/v1/tasks", params=query)) == set(query)


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "done"},
        {"action": ""},
        {"action": "\0"},
        {"actor": ""},
        {"task": "\0"},
        {"since": "now"},
        {"until": "5"},
    ],
    ids=repr,
)
def test_a_filter_of_the_trail_that_is_not_well_formed_is_refused_by_name(api: Api, query: dict[str, str]) -> None:
    assert refused_fields(api.send("GET", "/v1/audit-events", params=query)) == set(query)


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(("pair", "field"), [("status=%FF", "status"), ("a=b%C3", "a"), ("%41=%ed%a0%80", "A")])
def test_a_parameter_that_is_no_utf_8_is_refused_by_name(api: Api, path: str, pair: str, field: str) -> None:
    assert refused_fields(api.send("GET", f"{path}{'&' if '?' in path else '?'}{pair}&limit=5")) == {field}


def test_the_name_of_a_parameter_that_is_no_utf_8_is_refused(api: Api) -> None:
    assert refused_fields(api.send("GET", "/v1/tasks?%FF=1")) == {"\ufffd"}


def test_a_character_that_stands_for_others_is_a_value_like_any(api: Api) -> None:
    assert api.send("GET", "/v1/tasks?assignee_id=%EF%BF%BD").json()["tasks"] == []


def test_a_resource_id_without_its_type_is_refused_as_a_filter(api: Api) -> None:
    assert refused_fields(api.get("/v1/tasks", related_resource_id="con_1")) == {"related_resource_type"}


@pytest.mark.parametrize("path", ["/v1/tasks/a%0d%0Ab", "/v1/tasks/a%3Fb%23c", "/v1/tasks/%FF", "/v1/tasks/%C3%A9/x"])
def test_a_refusal_names_the_path_as_it_was_sent(api: Api, path: str) -> None:
    assert problem_of(api.send("GET", path), 404, "resource_not_found")["instance"] == path


@pytest.mark.parametrize("path", ["/v1/tasks/{}", "/v1/tasks/{}/audit-events", "/v1/requests/{}"])
@pytest.mark.parametrize("id_", ["%00", "a%00b", "%20", "x" * 256, "%09%0a", "%E2%80%AE"])
def test_an_id_that_can_be_none_is_refused(api: Api, path: str, id_: str) -> None:
    field = "request_id" if "requests" in path else "task_id"

    assert refused_fields(api.send("GET", path.format(id_))) == {field}


@pytest.mark.parametrize("path", ["/v1/tasks/{}", "/v1/tasks/{}/audit-events", "/v1/requests/{}"])
@pytest.mark.parametrize(
    "id_",
    [
        "%ff%fe",
        "%c3%a9",
        "%F0%9F%A4%9D",
        "'%20OR%201=1--",
        "%25s",
        "%zz",
        "%",
        "*",
        "null",
        "%5c",
        "x" * 255,
    ],
)
def test_an_id_of_strange_characters_is_not_found(api: Api, path: str, id_: str) -> None:
    problem_of(api.send("GET", path.format(id_)), 404, "resource_not_found")


@pytest.mark.parametrize("id_", ["%FF", "a%C3", "%c3%28", "%ed%a0%80"])
def test_a_write_to_an_id_that_is_no_utf_8_is_not_found(api: Api, id_: str) -> None:
    problem = problem_of(api.patch(f"/v1/tasks/{id_}", {"status": "completed"}), 404, "resource_not_found")

    assert "UTF-8" in problem["detail"]


def test_a_write_to_an_id_with_nul_is_refused(api: Api) -> None:
    assert refused_fields(api.patch("/v1/tasks/a%00b", {"status": "completed"})) == {"task_id"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v2/tasks",
        "/V1/tasks",
        "/v1/tasks/",
        "/v1/tasks/task_1/",
        "/v1//tasks",
        "//v1/tasks",
        "/v1/tasks/task_1/nope",
        "/v1/nope/../tasks",
        "/v1/%2e%2e/v1/tasks",
        "/v1/tasks/a%2Fb",
        "/v1/tasks%0A",
        "/v1/tasks/task_1/audit-events%0A",
        "/livez%0a",
        "/mcp%0a",
        "/v1/tasks;x=1",
        "/v1/requests/",
        "/docs/",
        "/docs/assets/",
        "/docs/assets/../docs.html",
        "/docs/assets/%2e%2e/main.py",
        "/docs/assets/..%2fmain.py",
        "/docs/assets/%00",
        "/docs/assets//etc/passwd",
        "/redoc",
        "/admin",
        "/.env",
        "/v1/" + "x" * 60_000,
    ],
    ids=lambda path: path[:40],
)
def test_an_unknown_path_is_not_found_and_leads_nowhere_else(web: str, path: str) -> None:
    response = ask_raw(web, path)

    problem_of(response, 404, "resource_not_found")
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/tasks", "GET, POST, HEAD"),
        ("/v1/tasks/task_1", "GET, PATCH, HEAD"),
        ("/v1/tasks/batch", "POST"),
        ("/v1/tasks/batches", "GET, PATCH, HEAD"),
        ("/v1/requests", "GET, HEAD"),
        ("/v1/requests/req_1", "GET, HEAD"),
        ("/v1/audit-events", "GET, HEAD"),
        ("/v1/tasks/task_1/audit-events", "GET, HEAD"),
        ("/livez", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/docs/assets/docs.js", "GET, HEAD"),
        ("/mcp", "POST"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_a_path_does_not_have_is_answered_with_those_that_it_has(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = api.send(method, path)

    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/audit-events", "/livez", "/readyz", "/openapi.json", "/docs"])
def test_head_answers_the_headers_of_get(api: Api, path: str) -> None:
    head, get = api.send("HEAD", path), api.get(path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    named = ("content-type", "content-length")
    assert [head.headers[name] for name in named] == [get.headers[name] for name in named]


def test_head_of_what_is_not_there_is_404_without_a_body(api: Api) -> None:
    response = api.send("HEAD", "/v1/tasks/task_1")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.content == b""
