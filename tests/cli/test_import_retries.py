"""What `baton import` does when the API answers otherwise than hoped: a stand-in says what it is told to say."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fastapi import FastAPI, Request, Response

from tests.api.serving import running
from tests.cli.commands import BATON, clean_environment, invoke

Json = dict[str, Any]

_FILE = b"title\nOne\nTwo\n"
_DONE: Json = {
    "id": "imp_1",
    "state": "completed",
    "format": "csv",
    "created_at": "2026-12-04T09:00:00Z",
    "finished_at": "2026-12-04T09:00:01Z",
    "bytes_received": len(_FILE),
    **dict.fromkeys(("rows", "succeeded", "failed", "rejected", "replayed", "queued", "canceled"), 0),
}
_NONE: Json = {"imports": []}
_CUT: Json = {"imports": [_DONE | {"state": "receiving", "finished_at": None, "bytes_received": 10}]}


def _problem(status: int, code: str, **headers: str) -> Response:
    problem = {"status": status, "code": code, "detail": f"It is {code}."}
    return Response(json.dumps(problem), status, headers, "application/problem+json")


class StandIn:
    """Answers with one thing after the other, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Json | Response] = []
        self.asked: list[tuple[str, bytes]] = []
        self.offsets: list[str] = []
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._answer, methods=["GET", "POST", "PATCH"])

    async def _answer(self, request: Request) -> Response:
        self.asked.append((request.method, await request.body()))
        self.offsets += request.headers.getlist("upload-offset")
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Response) else Response(json.dumps(answer), media_type="application/json")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    standing = StandIn()
    with running(standing.app) as url:
        standing.url = url
        yield standing


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tasks.csv"
    path.write_bytes(_FILE)
    return str(path)


def _import(stand_in: StandIn, file: str, *answers: Json | Response) -> Result:
    stand_in.answers = list(answers)
    done = invoke("import", file, BATON_URL=stand_in.url, BATON_TOKEN="token")
    assert stand_in.answers == []
    return done


def test_it_tries_again_when_it_is_asked_to_and_sends_the_whole_file(stand_in: StandIn, file: str) -> None:
    full = _problem(429, "queue_full", **{"retry-after": "1"})
    done = _import(stand_in, file, _problem(503, "unavailable"), _NONE, _NONE, full, _NONE, {"import": _DONE})

    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines() == [
        "It is unavailable. Trying again in 0.5 s.",
        "It is queue_full. Trying again in 1 s.",
    ]
    assert [body for method, body in stand_in.asked if method == "POST"] == [_FILE, _FILE]


def test_an_answer_that_was_lost_is_looked_up(stand_in: StandIn, file: str) -> None:
    done = _import(stand_in, file, _NONE, _NONE, _problem(502, ""), {"imports": [_DONE]})

    assert (done.exit_code, done.stdout.split()[1]) == (0, "imp_1")


def test_another_upload_of_the_same_file_is_gone_on_with(stand_in: StandIn, file: str) -> None:
    further = {"imports": [_CUT["imports"][0] | {"bytes_received": 12}]}
    first, overtaken = _problem(409, "idempotency_conflict"), _problem(422, "validation_failed")
    done = _import(stand_in, file, _NONE, _NONE, first, _CUT, overtaken, further, {"import": _DONE})

    assert done.exit_code == 0, done.stderr
    assert [body for method, body in stand_in.asked if method == "PATCH"] == [_FILE[10:], _FILE[12:]]
    assert stand_in.offsets == ["10", "12"]


def test_who_asks_for_an_hour_is_left_alone(stand_in: StandIn, file: str) -> None:
    done = _import(stand_in, file, _problem(503, "unavailable", **{"retry-after": "3600"}))

    assert (done.exit_code, done.stdout) == (75, "")
    assert done.stderr == "Error: It is unavailable. Try again later.\n"


def test_standard_input_is_not_sent_twice(stand_in: StandIn) -> None:
    stand_in.answers = [_NONE, _NONE, _problem(503, "unavailable"), _CUT]
    variables = clean_environment(BATON_URL=stand_in.url, BATON_TOKEN="token")
    words = [BATON, "import", "--format", "csv", "-"]
    done = subprocess.run(words, input=_FILE, env=variables, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (75, b"")
    assert b"as imp_1" in done.stderr
    assert [method for method, _ in stand_in.asked] == ["GET", "GET", "POST", "GET"]


def test_nobody_there_is_a_reason_to_try_again_later(file: str) -> None:
    done = invoke("import", file, BATON_URL="http://127.0.0.1:9", BATON_TOKEN="token")

    assert (done.exit_code, done.stdout) == (75, "")
    assert "Error: Baton cannot be reached at http://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("answer", [{}, Response("<p>Hello</p>"), Response("[]"), Response("No", 404)])
def test_what_is_not_baton_is_an_error(stand_in: StandIn, file: str, answer: Json | Response) -> None:
    done = _import(stand_in, file, answer)

    assert (done.exit_code, done.stdout) == (1, "")
    assert stand_in.url in done.stderr
    assert done.stderr.count("\n") == 1
