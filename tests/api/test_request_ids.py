import pytest
from dirty_equals import IsStr

from tests.api.asking import Api, curl, needs_curl, problem_of

OURS = IsStr(regex="req_[0-9a-z]{26}")


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/task_1", "/nope", "/livez", "/openapi.json", "/docs"])
def test_every_answer_echoes_the_clients_id(api: Api, path: str) -> None:
    response = api.get(path, headers={"X-Request-ID": "trace-42/a:b"})

    assert response.headers["x-request-id"] == "trace-42/a:b"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "é", "a\tb", "\u202e"], ids=repr)
def test_an_id_that_can_be_none_is_replaced_by_ours(api: Api, sent: str) -> None:
    response = api.get("/v1/tasks", headers={"X-Request-ID": sent})

    assert response.status_code == 200
    assert response.headers.get_list("x-request-id") == [OURS]


def test_without_one_every_exchange_has_an_id_of_its_own(api: Api) -> None:
    ids = [api.get("/v1/tasks").headers["x-request-id"] for _ in range(3)]

    assert ids == [OURS] * 3
    assert len(set(ids)) == 3


@needs_curl
def test_blanks_around_an_id_are_no_part_of_it(web: str) -> None:
    assert curl(f"{web}/livez", "--header", "X-Request-ID: \t trace \t").headers["x-request-id"] == "trace"


def test_the_request_id_of_a_write_is_ours_whatever_the_client_calls_it(api: Api) -> None:
    response = api.post("/v1/tasks", {"title": "x"}, headers={"X-Request-ID": "trace"})

    assert response.headers["x-request-id"] == "trace"
    assert response.json()["request_id"] == OURS
    assert api.get(f"/v1/requests/{response.json()['request_id']}").status_code == 200


def test_a_refusal_has_the_same_id_in_its_header_and_its_body(api: Api) -> None:
    response = api.get("/v1/tasks", limit=0)

    problem = problem_of(response, 422, "validation_failed")
    assert problem["request_id"] == response.headers["x-request-id"] == OURS


def test_the_id_of_a_write_that_was_refused_is_no_request(api: Api) -> None:
    refused = problem_of(api.post("/v1/tasks", {}), 422, "validation_failed")

    problem_of(api.get(f"/v1/requests/{refused['request_id']}"), 404, "resource_not_found")
