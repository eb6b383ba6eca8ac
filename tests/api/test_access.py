from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg import Connection

from core.tenancy.model import SCOPES, Caller
from core.tenancy.queries import revoke_token, secret_hash
from tests.api.asking import WAIT, Api, Json, accepted, problem_of
from tests.api.conftest import MakeApi
from tests.concurrency import wait_until


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, in a form that a caller with its scope is not refused for."""

    method: str
    path: str
    scope: str
    body: Json | None = None

    def ask(self, api: Api, **headers: str) -> httpx.Response:
        return api.send(self.method, self.path, json=self.body, headers=headers)


OPERATIONS = [
    Operation("POST", "/v1/tasks", "tasks:write", {"title": "Call Jane"}),
    Operation("PATCH", "/v1/tasks/task_1", "tasks:write", {"status": "completed"}),
    Operation("POST", "/v1/tasks/batch", "tasks:write", {"commands": [{"command": "task.create", "title": "x"}]}),
    Operation("GET", "/v1/tasks", "tasks:read"),
    Operation("GET", "/v1/tasks/task_1", "tasks:read"),
    Operation("GET", "/v1/requests/req_1", "tasks:read"),
    Operation("GET", "/v1/requests?idempotency_key=k", "tasks:read"),
    Operation("GET", "/v1/audit-events", "audit:read"),
    Operation("GET", "/v1/tasks/task_1/audit-events", "audit:read"),
]

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")


@every_operation
@pytest.mark.usefixtures("nothing_is_accepted")
def test_every_other_scope_together_is_not_enough(make_api: MakeApi, operation: Operation) -> None:
    api = make_api(*(scope for scope in SCOPES if scope != operation.scope))

    response = operation.ask(api)

    problem = problem_of(response, 403, "missing_required_scope")
    assert problem["required_scope"] == operation.scope
    assert operation.scope in problem["detail"]
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="baton", error="insufficient_scope", scope="{operation.scope}"'
    )


@every_operation
def test_its_one_scope_is_enough(make_api: MakeApi, operation: Operation) -> None:
    response = operation.ask(make_api(operation.scope))

    assert response.status_code in {200, 202, 404}, response.text


@every_operation
def test_a_missing_scope_is_told_before_any_other_fault(make_api: MakeApi, operation: Operation) -> None:
    api = make_api("crm:read")

    response = api.send(
        operation.method,
        operation.path.partition("?")[0] + "?nope=1&nope=2",
        content=b"{",
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )

    problem_of(response, 403, "missing_required_scope")


REALM = 'Bearer realm="baton"'


@every_operation
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic dXNyXzE6cGFzc3dvcmQ=", "baton_unknown", "Token baton_unknown", "Bearer,Bearer"],
    ids=repr,
)
@pytest.mark.usefixtures("nothing_is_accepted")
def test_who_sends_no_bearer_token_is_asked_for_one_and_told_of_no_error(
    http: httpx.Client, operation: Operation, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    response = operation.ask(Api(http, None), **headers)

    assert "Authorization: Bearer" in problem_of(response, 401, "unauthorized")["detail"]
    assert response.headers["www-authenticate"] == REALM  # RFC 6750, section 3.1


@every_operation
@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer baton_unknown",
        "Bearer baton_" + "x" * 10_000,
        "Bearer é",
        "Bearer \u202e",
        "Bearer null",
        "Bearer ' OR 1=1 --",
    ],
    ids=lambda header: repr(header)[:30],
)
@pytest.mark.usefixtures("nothing_is_accepted")
def test_who_sends_a_token_that_is_not_known_is_told_that_it_is_invalid(
    http: httpx.Client, operation: Operation, authorization: str
) -> None:
    response = operation.ask(Api(http, None), Authorization=authorization)

    problem_of(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == f'{REALM}, error="invalid_token"'


@every_operation
@pytest.mark.usefixtures("nothing_is_accepted")
def test_of_two_tokens_none_is_chosen(api: Api, operation: Operation) -> None:
    for other in (f"Bearer {api.token}", "Bearer baton_unknown"):
        response = operation.ask(api, Authorization=other)

        assert "one Authorization header" in problem_of(response, 401, "unauthorized")["detail"]


def test_a_refusal_does_not_repeat_the_secret(api: Api) -> None:
    assert api.token
    wrong = Api(api.http, api.token[:-4] + "wxyz")

    response = wrong.get("/v1/tasks")

    problem_of(response, 401, "unauthorized")
    assert api.token[:-4] not in response.text + str(response.headers)


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {}"])
def test_a_token_is_known_however_the_scheme_is_written(api: Api, form: str) -> None:
    response = Api(api.http, None).get("/v1/tasks", headers={"Authorization": form.format(api.token)})

    assert response.status_code == 200


@pytest.mark.parametrize("form", ["Bearer {} x", "Bearer {},{}", "Bearer '{}'", "Bearer {}=", "Basic {}", "Bearer x{}"])
def test_a_token_with_something_around_it_is_unknown(api: Api, form: str) -> None:
    response = Api(api.http, None).get("/v1/tasks", headers={"Authorization": form.format(api.token, api.token)})

    problem_of(response, 401, "unauthorized")


def test_a_token_elsewhere_than_in_the_header_is_not_looked_at(api: Api) -> None:
    anonymous = Api(api.http, None)

    problem_of(anonymous.get("/v1/tasks", access_token=api.token), 401, "unauthorized")
    problem_of(anonymous.get("/v1/tasks", headers={"Cookie": f"token={api.token}"}), 401, "unauthorized")


def test_the_hash_of_a_token_is_no_token(api: Api) -> None:
    assert api.token

    problem_of(Api(api.http, secret_hash(api.token).hex()).get("/v1/tasks"), 401, "unauthorized")


def test_an_expired_token_is_refused(make_api: MakeApi) -> None:
    api = make_api(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    problem_of(api.get("/v1/tasks"), 401, "unauthorized")


def test_a_token_that_expires_while_it_is_in_use_is_refused_from_then_on(make_api: MakeApi) -> None:
    api = make_api(expires_at=datetime.now(UTC) + timedelta(seconds=1))

    wait_until(lambda: api.get("/v1/tasks").status_code == 401)

    assert "expired" in problem_of(api.get("/v1/tasks"), 401, "unauthorized")["detail"]


def test_a_token_that_is_revoked_while_it_is_in_use_is_refused_soon(api: Api, connection: Connection[Any]) -> None:
    assert api.token
    assert api.get("/v1/tasks").status_code == 200
    row = connection.execute("SELECT id FROM tokens WHERE secret_hash = %s", [secret_hash(api.token)]).fetchone()
    assert row

    revoke_token(connection, row[0])

    wait_until(lambda: api.get("/v1/tasks").status_code == 401)
    problem_of(api.post("/v1/tasks", {"title": "x"}), 401, "unauthorized")


def test_a_revoked_token_leaves_the_actors_others_alone(
    make_api: MakeApi, api: Api, connection: Connection[Any]
) -> None:
    other = make_api()
    assert other.token
    connection.execute("UPDATE tokens SET revoked_at = now() WHERE secret_hash = %s", [secret_hash(other.token)])

    problem_of(other.get("/v1/tasks"), 401, "unauthorized")
    assert api.get("/v1/tasks").status_code == 200


def test_what_another_workspace_has_is_404_by_whatever_id(api: Api, stranger_api: Api) -> None:
    theirs = accepted(stranger_api.post("/v1/tasks", {"title": "Theirs"}, headers={"Idempotency-Key": "theirs"}))
    stranger_api.finished(theirs["request_id"])
    task_id, request_id = theirs["task"]["id"], theirs["request_id"]

    for path in (
        f"/v1/tasks/{task_id}",
        f"/v1/tasks/{task_id}?after_request={request_id}",
        f"/v1/tasks/{task_id}/audit-events",
        f"/v1/requests/{request_id}",
        "/v1/requests?idempotency_key=theirs",
        f"/v1/tasks?after_request={request_id}",
        f"/v1/audit-events?after_request={request_id}",
    ):
        assert "Theirs" not in api.send("GET", path).text
        problem_of(api.send("GET", path), 404, "resource_not_found")
    problem_of(api.patch(f"/v1/tasks/{task_id}", {"status": "completed"}, headers=WAIT), 404, "resource_not_found")


def test_what_another_workspace_has_is_in_no_list(api: Api, stranger_api: Api) -> None:
    stranger_api.update(stranger_api.create("Theirs", assignee_id="usr_1")["id"], status="completed")
    mine = api.create("Mine")

    assert api.get("/v1/tasks").json()["tasks"] == [mine]
    assert api.get("/v1/tasks", assignee_id="usr_1").json()["tasks"] == []
    assert api.get("/v1/tasks", status="completed").json()["tasks"] == []
    assert [event["task_id"] for event in api.get("/v1/audit-events").json()["audit_events"]] == [mine["id"]]
    assert api.get("/v1/audit-events", actor="usr_1", action="task.complete").json()["audit_events"] == []


def test_a_receipt_of_a_foreign_task_tells_nothing_of_whether_it_exists(api: Api, stranger_api: Api) -> None:
    theirs = stranger_api.create("Theirs")["id"]

    known = api.patch(f"/v1/tasks/{theirs}", {"status": "completed"}, headers=WAIT).json()
    unknown = api.patch("/v1/tasks/task_nowhere", {"status": "completed"}, headers=WAIT).json()

    del known["request_id"], unknown["request_id"]
    assert known == {
        **unknown,
        "detail": unknown["detail"].replace("task_nowhere", theirs),
        "instance": f"/v1/tasks/{theirs}",
    }


def test_one_person_with_tokens_of_two_workspaces_acts_in_the_one_whose_token_it_shows(
    make_api: MakeApi, person: Caller, stranger: Caller
) -> None:
    here, there = make_api(caller=person), make_api(caller=stranger)

    assert here.create()["tenant_id"] == person.tenant_id
    assert there.create()["tenant_id"] == stranger.tenant_id
    assert len(here.get("/v1/tasks").json()["tasks"]) == len(there.get("/v1/tasks").json()["tasks"]) == 1
