"""Imports over HTTP: a file goes in, tasks come out, and what was not acceptable comes back to be mended."""

import csv
import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.asking import PATIENCE_SECONDS, Api, Json, curl, needs_curl, parse, problem_of, refused_fields, speak
from tests.api.conftest import MakeApi

_CSV = {"Content-Type": "text/csv"}
_NDJSON = {"Content-Type": "application/x-ndjson"}


def _send(api: Api, file: bytes | Iterator[bytes], path: str = "/v1/imports", **headers: str) -> httpx.Response:
    return api.send("POST", path, headers=_CSV | headers, content=file)


def _import(api: Api, file: bytes, path: str = "/v1/imports", **headers: str) -> Json:
    response = _send(api, file, path, **headers)
    assert response.status_code == 202, response.text
    known: Json = response.json()["import"]
    return known


def _over(api: Api, known: Json) -> Json:
    """Return an import once it is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while known["finished_at"] is None:
        assert time.monotonic() < deadline, known
        time.sleep(0.05)
        response = api.get(f"/v1/imports/{known['id']}")
        known = response.json()["import"]
        assert ("retry-after" in response.headers) == (known["finished_at"] is None)
    return known


def _titles(api: Api) -> list[str]:
    return sorted(task["title"] for task in api.get("/v1/tasks?limit=100").json()["tasks"])


def test_each_row_of_a_file_becomes_a_task(api: Api) -> None:
    response = _send(api, b"title,due_at\nCall Jane,2026-12-04T09:00:00+01:00\nCall Joe,\n")

    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/imports/{response.json()['import']['id']}"
    assert response.json()["request_id"].startswith("req_")
    over = _over(api, response.json()["import"])
    assert (over["state"], over["rows"], over["succeeded"], over["queued"]) == ("completed", 2, 2, 0)
    assert over["actor"] == {"id": "usr_1", "type": "user", "name": "Pat Person"}
    tasks = {task["title"]: task for task in api.get("/v1/tasks").json()["tasks"]}
    assert set(tasks) == {"Call Jane", "Call Joe"}
    assert tasks["Call Jane"]["due_at"] == "2026-12-04T08:00:00Z"
    assert tasks["Call Jane"]["source"] == "api"


def test_each_executed_row_has_its_audit_event(api: Api) -> None:
    _over(api, _import(api, b"title,related_resource_type,related_resource_id\nOne,,\nTwo,contact,con_nobody\n"))

    events = api.get("/v1/audit-events").json()["audit_events"]
    assert sorted((event["action"], event["outcome"]) for event in events) == [
        ("task.create", "applied"),
        ("task.create", "failed"),
    ]


@needs_curl
def test_curl_imports_a_file_as_a_person_types_it(api: Api, web: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.ndjson"
    file.write_text('{"title": "One"}\n{"title": "Two"}\n')
    token = f"Authorization: Bearer {api.token}"

    response = curl(f"{web}/v1/imports?format=ndjson", "--header", token, "--data-binary", f"@{file}")

    assert response.status_code == 202
    assert _over(api, response.json()["import"])["succeeded"] == 2


def test_the_rejects_come_back_to_be_mended_and_sent_again(api: Api) -> None:
    known = _import(api, b'title,due_at\nSound,\n"Quote ""it""",tomorrow\n,\nragged\n')
    assert (known["rows"], known["rejected"]) == (4, 3)

    response = api.get(f"/v1/imports/{known['id']}/rejects")

    assert response.headers["content-type"].startswith("text/csv")
    assert f"{known['id']}.rejects.csv" in response.headers["content-disposition"]
    rejects = list(csv.DictReader(io.StringIO(response.text)))
    assert [(reject["_line"], reject["title"], reject["due_at"]) for reject in rejects] == [
        ("3", 'Quote "it"', "tomorrow"),
        ("4", "", ""),
        ("5", "", ""),
    ]
    assert "RFC 3339" in rejects[0]["_error"]
    assert "ragged" in rejects[2]["_error"]

    mended = response.text.replace("tomorrow", "2026-12-04T09:00:00Z").encode()
    assert _import(api, mended)["rejected"] == 2
    _over(api, known)
    assert 'Quote "it"' in _titles(api)


def test_a_row_that_is_rejected_again_keeps_the_line_that_it_had_first(api: Api) -> None:
    known = _import(api, b"title,due_at,_line,_error\nLate,tomorrow,57,why\nLater,tomorrow,,\n")

    rejects = csv.DictReader(io.StringIO(api.get(f"/v1/imports/{known['id']}/rejects").text))

    assert [(reject["title"], reject["_line"]) for reject in rejects] == [("Late", "57"), ("Later", "3")]


def test_many_rejects_come_in_the_order_of_the_file(api: Api) -> None:
    known = _import(api, b"title\n" + b" \n" * 2_345)

    rejects = csv.DictReader(io.StringIO(api.get(f"/v1/imports/{known['id']}/rejects").text))

    assert [int(reject["_line"]) for reject in rejects] == list(range(2, 2_347))


def test_the_rejects_of_json_are_json(api: Api) -> None:
    known = _import(api, b'{"title": 5}\nnot json\n', "/v1/imports?format=ndjson")

    response = api.get(f"/v1/imports/{known['id']}/rejects")

    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in response.text.splitlines()] == [
        {"title": 5, "_line": 1, "_error": "title: Input should be a valid string"},
        {"_raw": "not json", "_line": 2, "_error": "Not valid JSON: Expecting value: line 1 column 1 (char 0)"},
    ]


def test_what_is_no_text_comes_back_as_it_was(api: Api) -> None:
    known = _import(api, b"title\nLatin \xe9\nNUL \x00\n")

    assert api.get(f"/v1/imports/{known['id']}/rejects").content.startswith(b"title,_line,_error\r\nLatin \xe9,2,")


def test_an_import_without_rejects_has_an_empty_file_of_them(api: Api) -> None:
    known = _import(api, b"title\nOne\n")

    assert api.get(f"/v1/imports/{known['id']}/rejects").text == "title,_line,_error\r\n"


def test_a_dry_run_only_checks(api: Api) -> None:
    known = _import(api, b"title\nOne\n\n ,\n", "/v1/imports?dry_run=true")

    assert (known["state"], known["dry_run"], known["rows"], known["rejected"]) == ("completed", True, 2, 1)
    assert _titles(api) == []


def test_the_same_file_again_makes_no_task_twice(api: Api) -> None:
    file = b"title\nOne\nTwo\n"
    _over(api, _import(api, file))

    assert _over(api, _import(api, file))["replayed"] == 2
    assert _titles(api) == ["One", "Two"]


def test_a_key_names_the_file_and_brings_its_import_back(api: Api) -> None:
    first = _import(api, b"title\nOne\n", **{"Idempotency-Key": "file-1"})

    again = _send(api, b"title\nOne\n" * 1_000, **{"Idempotency-Key": "file-1"})

    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["import"]["id"] == first["id"]
    assert api.get("/v1/imports?idempotency_key=file-1").json()["imports"][0]["id"] == first["id"]
    assert api.get("/v1/imports?idempotency_key=file-2").json()["imports"] == []


@pytest.mark.parametrize(
    "key", ["", "two words", "é", "x" * 256, "x" * 20_000], ids=lambda key: f"{key:.5} of {len(key)}"
)
def test_a_key_that_can_be_none_is_refused_and_nothing_received(api: Api, key: str) -> None:
    assert refused_fields(_send(api, b"title\nOne\n", **{"Idempotency-Key": key})) == {"idempotency_key"}
    assert api.get("/v1/imports").json()["imports"] == []


def test_imports_are_listed_newest_first_page_by_page(api: Api) -> None:
    made = [_import(api, b"title\nOne\n")["id"] for _ in range(3)]

    first = api.get("/v1/imports?limit=2").json()
    rest = api.get(f"/v1/imports?limit=2&cursor={first['next_cursor']}").json()

    assert [each["id"] for each in first["imports"] + rest["imports"]] == made[::-1]
    assert "next_cursor" not in rest


def test_an_import_is_canceled(api: Api) -> None:
    known = _import(api, b"title\n" + b"Task\n" * 5_000)

    response = api.send("POST", f"/v1/imports/{known['id']}/cancel")

    assert response.status_code == 200, response.text
    over = _over(api, known)
    assert over["state"] == "canceled"
    assert over["succeeded"] + over["canceled"] == 5_000
    assert api.send("POST", f"/v1/imports/{known['id']}/cancel").status_code == 200


def test_an_import_that_is_over_cannot_be_canceled(api: Api) -> None:
    known = _over(api, _import(api, b"title\nOne\n"))

    problem = problem_of(api.send("POST", f"/v1/imports/{known['id']}/cancel"), 409, "invalid_status_transition")
    assert problem["from_status"] == "completed"


def _cut(web: str, api: Api, file: bytes, *, promised: int) -> None:
    """Send the beginning of a file and hang up."""
    host, port = urlsplit(web).hostname, urlsplit(web).port
    head = (
        f"POST /v1/imports HTTP/1.1\r\nHost: baton\r\nAuthorization: Bearer {api.token}\r\nContent-Type: text/csv\r\n"
        f"Idempotency-Key: cut\r\nContent-Length: {promised}\r\n\r\n"
    )
    with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + file)
        time.sleep(0.2)


def test_an_upload_that_is_cut_goes_on_where_it_was(web: str, api: Api) -> None:
    file = b"title\n" + b"".join(b"Task %d\n" % number for number in range(50))
    _cut(web, api, file[:100], promised=len(file))
    known: Json = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not known and time.monotonic() < deadline:
        known = next(iter(api.get("/v1/imports?idempotency_key=cut").json()["imports"]), {})
    assert known["state"] == "receiving"
    while known["bytes_received"] < 96 and time.monotonic() < deadline:
        known = api.get(f"/v1/imports/{known['id']}").json()["import"]
    offset, path = known["bytes_received"], f"/v1/imports/{known['id']}"

    wrong = api.send("PATCH", path, headers={"Upload-Offset": str(offset + 1)}, content=file[offset:])
    assert refused_fields(wrong) == {"Upload-Offset"}
    response = api.send("PATCH", path, headers={"Upload-Offset": str(offset)}, content=file[offset:])

    assert response.status_code == 202, response.text
    over = _over(api, known)
    assert (over["state"], over["rows"], over["succeeded"]) == ("completed", 50, 50)
    assert len(_titles(api)) == 50
    problem_of(api.send("PATCH", path, headers={"Upload-Offset": "0"}, content=b""), 409, "invalid_status_transition")


@pytest.mark.parametrize("offset", [None, "", "x", "-1", "1.5", "9" * 30])
def test_an_offset_that_is_no_number_is_refused(api: Api, offset: str | None) -> None:
    headers = {} if offset is None else {"Upload-Offset": offset}

    response = api.send("PATCH", "/v1/imports/imp_1", headers=headers, content=b"")

    assert response.status_code in {404, 422}, response.text


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        (b"", {"body"}),
        (b"name\nx\n", {"name", "title", "header"}),
        (b"{}\n", {"{}", "title", "header"}),
        ("title\nx\n".encode("utf-16"), {"body"}),
        (b"\x00" * 100 + b"\n", {"body"}),
        (b"x" * 300_000, {"header"}),
    ],
)
@pytest.mark.usefixtures("nothing_is_accepted")
def test_a_file_that_is_not_what_it_should_be_is_one_clear_error(api: Api, file: bytes, fields: set[str]) -> None:
    assert refused_fields(_send(api, file)) >= fields
    assert api.get("/v1/imports").json()["imports"] == []


def test_a_line_of_fifty_megabytes_is_one_reject(api: Api) -> None:
    def file() -> Iterator[bytes]:
        yield b"title\n"
        for _ in range(50):
            yield b"x" * 1_000_000
        yield b"\nSound\n"

    response = _send(api, file())

    assert response.status_code == 202
    assert (response.json()["import"]["rows"], response.json()["import"]["rejected"]) == (2, 1)
    assert _over(api, response.json()["import"])["succeeded"] == 1


def test_the_format_must_be_told(api: Api) -> None:
    assert refused_fields(api.send("POST", "/v1/imports", content=b"title\n")) == {"format"}
    assert refused_fields(_send(api, b"title\n", "/v1/imports?format=xlsx")) == {"format"}
    assert refused_fields(_send(api, b"title\n", "/v1/imports?dryrun=true")) == {"dryrun"}


@pytest.mark.parametrize("call", ["POST /v1/imports", "GET /v1/imports", "GET /v1/imports/imp_1"])
def test_an_import_needs_the_scope_to_write(make_api: MakeApi, call: str) -> None:
    method, _, path = call.partition(" ")

    response = make_api("tasks:read").send(method, path, headers=_CSV)

    assert problem_of(response, 403, "missing_required_scope")["required_scope"] == "tasks:write"


def test_another_workspace_sees_nothing_of_an_import(api: Api, stranger_api: Api) -> None:
    path = f"/v1/imports/{_import(api, b'title,due_at')['id']}"

    for method, rest in (("GET", ""), ("GET", "/rejects"), ("POST", "/cancel")):
        problem_of(stranger_api.send(method, path + rest), 404, "resource_not_found")
    problem_of(stranger_api.send("PATCH", path, headers={"Upload-Offset": "0"}), 404, "resource_not_found")
    assert stranger_api.get("/v1/imports").json()["imports"] == []


def test_a_refusal_is_read_by_a_client_that_sends_a_body(web: str) -> None:
    answer = parse(
        speak(web, b"POST /v1/imports HTTP/1.1\r\nHost: baton\r\nConnection: close\r\nContent-Length: 5\r\n\r\ntitle")
    )

    problem_of(answer, 401, "unauthorized")
