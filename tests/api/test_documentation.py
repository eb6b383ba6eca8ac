import json
import re
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from tests.api.asking import Api, Json, curl, needs_curl
from tests.servers import ROOT

DOCUMENT: Json = json.loads((ROOT / "docs" / "openapi.json").read_text())
STATIC = ROOT / "src" / "api" / "static"
WRITES = {("post", "/v1/tasks"), ("patch", "/v1/tasks/{task_id}")}

OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
BATCH = OPERATIONS["post /v1/tasks/batch"]
UPLOADS = [OPERATIONS["post /v1/imports"], OPERATIONS["patch /v1/imports/{import_id}"]]
CANCEL = OPERATIONS["post /v1/imports/{import_id}/cancel"]
CALLS = {name: operation for name, operation in OPERATIONS.items() if "/v1/" in name}

every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
every_call = pytest.mark.parametrize("operation", CALLS.values(), ids=CALLS)


def _faults(schema: Json, value: object) -> list[str]:
    """Return what is wrong with a value, by a schema that may refer to the document's components."""
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [error.message for error in validator.iter_errors(value)]


def _contents(operation: Json) -> Iterator[tuple[str, Json]]:
    """Yield every body of an operation by name: what it takes and what it answers."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, body in bodies.items():
        for media_type, content in body.get("content", {}).items():
            yield f"{name} {media_type}", content


def _examples(content: Json) -> list[Any]:
    if "example" in content:
        return [content["example"]]
    named = DOCUMENT["components"]["examples"]
    return [named[name]["value"] if "$ref" in each else each["value"] for name, each in content["examples"].items()]


def test_the_document_that_is_served_is_the_one_that_is_committed(http: httpx.Client) -> None:
    response = http.get("/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(DOCUMENT).validate()


@every_operation
def test_an_operation_is_named_described_and_grouped(operation: Json) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert re.fullmatch(r"[a-z_0-9]+", operation["operationId"])


def test_no_two_operations_have_one_id() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]

    assert len(ids) == len(set(ids))


@every_call
def test_a_call_names_its_scope_and_every_refusal(operation: Json) -> None:
    ((scheme, scopes),) = operation["security"][0].items()

    assert DOCUMENT["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    assert len(scopes) == 1
    assert set(scopes) <= {"tasks:read", "tasks:write", "activity:read", "activity:write", "audit:read"}
    refusals = {"401", "403", "404", "422", "500", "503"}
    if "requestBody" in operation:
        refusals |= {"202", "409", "413", "429"}
    if operation in UPLOADS:  # of any size
        refusals -= {"413"}
    if operation is BATCH:  # some are of one command, never of all
        refusals -= {"404", "409"}
    assert refusals <= set(operation["responses"])


@every_call
def test_a_parameter_is_described_and_has_a_form(operation: Json) -> None:
    names = {parameter["name"] for parameter in operation["parameters"]}

    assert "X-Request-ID" in names
    assert ("Prefer" in names) == (operation not in (*UPLOADS, CANCEL))
    assert ("Idempotency-Key" in names) == ("requestBody" in operation and operation is not UPLOADS[1])
    assert ("after_request" in names) == ("requestBody" not in operation and operation is not CANCEL)
    assert ("If-None-Match" in names) == ("304" in operation["responses"])
    for parameter in operation["parameters"]:
        assert parameter["description"], parameter["name"]
        assert parameter["schema"]


@every_operation
def test_an_answer_has_an_example_a_description_and_its_id(operation: Json) -> None:
    for status, answer in operation["responses"].items():
        assert answer["description"], status
        assert "X-Request-ID" in answer["headers"], status
        assert all(header["description"] and header["schema"] for header in answer["headers"].values())
        assert "content" in answer or status == "304", status
    for name, content in _contents(operation):
        assert _examples(content), name


@every_operation
def test_every_example_fits_its_schema(operation: Json) -> None:
    for name, content in _contents(operation):
        for example in _examples(content):
            assert _faults(content["schema"], example) == [], name


def test_the_example_of_a_problem_has_the_code_and_status_under_which_it_stands() -> None:
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            for code, example in (
                answer.get("content", {}).get("application/problem+json", {"examples": {}})["examples"].items()
            ):
                assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))


@pytest.mark.parametrize(("method", "path"), sorted(WRITES))
def test_the_document_refuses_what_the_service_refuses(method: str, path: str) -> None:
    schema = OPERATIONS[f"{method} {path}"]["requestBody"]["content"]["application/json"]["schema"]

    refused: list[object] = [{"nope": 1}, {"title": 5}, {"status": "done"}, {"idempotency_key": "a b"}, {"title": None}]
    for members in (*refused, [], None):
        assert _faults(schema, members), members


def test_the_document_says_what_each_command_of_a_batch_may_have() -> None:
    schema = BATCH["requestBody"]["content"]["application/json"]["schema"]
    create, update = {"command": "task.create", "title": "x"}, {"command": "task.update", "task_id": "task_1"}

    assert _faults(schema, {"commands": [create, update] * 500}) == []
    assert _faults(schema, {"commands": [create] * 1_001})
    assert _faults(schema, {"commands": [create], "nope": 1})
    unnamed: list[object] = [
        {},
        [],
        None,
        5,
        {"title": "x"},
        {"task_id": "task_1"},
        create | {"command": "task.delete"},
    ]
    unfit = [create | {"task_id": "task_1"}, update | {"title": "x"}, {"command": "task.create"}]
    for refused in (*unnamed, *unfit):
        assert _faults(schema, {"commands": [refused]}), refused


def _told(api: Api) -> Iterator[tuple[str, httpx.Response]]:
    """Yield answers of many kinds with the operation that gave them."""
    create, update, get = "post /v1/tasks", "patch /v1/tasks/{task_id}", "get /v1/tasks/{task_id}"
    batch, commands = "post /v1/tasks/batch", [{"command": "task.create", "title": "x"}, {"command": "task.create"}]
    key, wait = {"Idempotency-Key": "k"}, {"Prefer": "wait=30"}
    yield create, api.post("/v1/tasks", {"title": "x"}, headers=key)
    yield create, api.post("/v1/tasks", {"title": "x"}, headers=key)
    yield create, (made := api.post("/v1/tasks", {"title": "x"}, headers={**key, **wait}))
    yield create, api.post("/v1/tasks", {"title": "y"}, headers=key)
    yield create, api.post("/v1/tasks", {})
    yield create, api.post("/v1/tasks", {"title": "x" * 2_000_000})
    yield create, Api(api.http, None).post("/v1/tasks", {})
    yield update, api.patch(f"/v1/tasks/{made.json()['task']['id']}", {"status": "canceled"}, headers=wait)
    yield batch, api.post("/v1/tasks/batch", {"commands": commands}, headers=key)
    yield batch, api.post("/v1/tasks/batch", {"commands": commands}, headers={**key, **wait})
    yield batch, api.post("/v1/tasks/batch", {"commands": commands[1:]})
    yield batch, api.post("/v1/tasks/batch", {"commands": []})
    yield batch, api.post("/v1/tasks/batch", {"commands": ["x" * 5_000_000]})
    failing = (f"/v1/tasks/{made.json()['task']['id']}", {"status": "completed"})
    yield update, api.patch(*failing, headers={"Idempotency-Key": "f", **wait})
    yield update, api.patch(*failing, headers={"Idempotency-Key": "f", **wait})
    yield update, api.patch("/v1/tasks/task_nowhere", {"status": "canceled"}, headers=wait)
    yield get, (found := api.get(made.json()["task"] and f"/v1/tasks/{made.json()['task']['id']}"))
    yield get, api.get(f"/v1/tasks/{made.json()['task']['id']}", headers={"If-None-Match": found.headers["etag"]})
    yield get, api.get("/v1/tasks/task_nowhere")
    yield "get /v1/requests/{request_id}", api.get(made.headers["location"])
    yield "get /v1/requests", api.get("/v1/requests", idempotency_key="f")
    yield "get /v1/tasks", api.get("/v1/tasks", limit=1)
    yield "get /v1/tasks", api.get("/v1/tasks", after_request="req_nowhere")
    yield "get /v1/audit-events", api.get("/v1/audit-events")
    yield "get /v1/tasks/{task_id}/audit-events", api.get(f"/v1/tasks/{made.json()['task']['id']}/audit-events")
    yield "get /readyz", api.get("/readyz")
    yield "get /metrics", api.get("/metrics")


def test_every_answer_has_the_status_headers_and_form_that_the_document_gives_it(api: Api) -> None:
    everywhere = {"date", "content-type", "content-length"}
    told = set()
    for name, response in _told(api):
        told.add((name, response.status_code))
        documented = OPERATIONS[name]["responses"][str(response.status_code)]
        assert set(response.headers) - everywhere <= {each.lower() for each in documented["headers"]}, name
        if response.status_code == httpx.codes.NOT_MODIFIED:
            continue
        schema = documented["content"][response.headers["content-type"]]["schema"]
        body = response.json() if "json" in response.headers["content-type"] else response.text
        assert _faults(schema, body) == [], name
    assert len(told) == 24


class _Assets(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        named = {name: value or "" for name, value in attrs}
        self.found += [named[name] for name in ("src", "href", "action", "srcset", "data") if name in named]
        self.inline += [name for name in named if name.startswith("on") or name == "style"]


def test_the_page_of_the_documentation_loads_only_what_the_service_serves(http: httpx.Client) -> None:
    page = http.get("/docs")
    assets = _Assets()
    assets.feed(page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert len(assets.found) == 4
    assert assets.inline == []
    for address in assets.found:
        assert address.startswith("/docs/assets/")
        asset = http.get(address)
        assert asset.status_code == 200
        assert asset.headers["content-type"].split(";")[0] in {"text/javascript", "text/css", "image/png"}
        assert asset.content == (STATIC / address.removeprefix("/docs/assets/")).read_bytes()


def test_the_browser_is_told_to_load_nothing_from_elsewhere(http: httpx.Client) -> None:
    policy = dict(
        rule.strip().split(" ", 1) for rule in http.get("/docs").headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy or policy["script-src"] == "'self'"
    assert "http" not in str(policy)


def test_the_page_shows_the_document_of_this_service() -> None:
    script = (STATIC / "docs.js").read_text()

    assert 'url: "/openapi.json"' in script
    assert "validatorUrl: null" in script
    assert "://" not in script


def test_the_styles_load_nothing_from_elsewhere() -> None:
    styles = (STATIC / "swagger-ui" / "swagger-ui.css").read_text()

    assert "@import" not in styles
    assert [
        address for address in re.findall(r"url\(([^)]*)\)", styles) if not address.strip("\"'").startswith("data:")
    ] == []


def test_the_vendored_files_are_the_ones_that_are_named() -> None:
    folder = STATIC / "swagger-ui"
    vendored = json.loads((folder / "VENDOR.json").read_text())["sha256"]

    assert vendored == {
        path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name != "VENDOR.json"
    }


@needs_curl
def test_the_documentation_needs_no_token(web: str) -> None:
    assert curl(f"{web}/docs").status_code == curl(f"{web}/openapi.json").status_code == 200
