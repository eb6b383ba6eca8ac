"""What arrives on a connection and is no request, or only the beginning of one: a problem, or no answer at all."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from api import bodies
from api.app import create_app
from api.protocol import Protocol
from core.settings import Settings
from tests.api.asking import PATIENCE_SECONDS, Api, curl, needs_curl, parse, problem_of, speak
from tests.api.serving import Worker, running

BODY = b'{"title":"x"}'


def _post(api: Api, *fields: bytes) -> bytes:
    """Return the head of a write."""
    token = f"Authorization: Bearer {api.token}".encode()
    return b"\r\n".join([b"POST /v1/tasks HTTP/1.1", b"Host: baton", b"Connection: close", token, *fields, b"", b""])


def _lives(web: str) -> bool:
    return httpx.get(f"{web}/livez").status_code == 200


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([b"Content-Length: abc"], BODY),
        ([b"Content-Length: -13"], BODY),
        ([b"Content-Length: +13"], BODY),
        ([b"Content-Length: 0x0d"], BODY),
        ([b"Content-Length: 13, 13"], BODY),
        ([b"Content-Length: 13", b"Content-Length: 12"], BODY),
        ([b"Content-Length: 99999999999999999999999999"], BODY),
        ([b"Content-Length: 13", b"Transfer-Encoding: chunked"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 13"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: xchunked"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked, identity"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding : chunked"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Content-Length : 13"], BODY),
        ([b"Transfer-Encoding: chunked"], b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"-d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked"], b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: gzip, chunked"], b"d\r\n" + BODY + b"\r\n0\r\n\r\n"),
        ([b"Content-Length: 13", b"Host: baton"], BODY),
        ([b"X-Folded: a", b" b"], b""),
        ([b"X-Nul: a\0b"], b""),
        ([b"X Space: a"], b""),
        ([b": no name"], b""),
        ([b"no colon"], b""),
        ([b"X-Feed: a\rb"], b""),
    ],
    ids=lambda part: repr(part)[:60] if part else "",
)
def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_of_it_accepted(
    api: Api, web: str, fields: list[bytes], body: bytes
) -> None:
    answer = parse(speak(web, _post(api, *fields) + body))

    problem_of(answer, 400, "malformed_request")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez\nHost: baton\n\n",
        b"MAKE /v1/tasks HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"get /livez HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"CONNECT baton:80 HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"GET livez HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"GET /v1/tasks/\xff HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"GET /v1/tasks/\0 HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"GET /v1/tasks/" + b"x" * 65_536 + b" HTTP/1.1\r\nHost: baton\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_what_is_not_http_is_refused_as_a_problem(web: str, sent: bytes) -> None:
    problem_of(parse(speak(web, sent)), 400, "malformed_request")
    assert _lives(web)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nX-Long: " + b"x" * 1_000_000,
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(80_000)),
        b"GET /" + b"x" * 1_000_000,
    ],
    ids=lambda head: repr(head[:30]),
)
def test_headers_without_an_end_are_refused_before_they_fill_the_memory(web: str, head: bytes) -> None:
    answer = parse(_answer_to_the_patient(web, head))

    assert (answer.status_code, answer.headers["content-type"]) == (431, "application/problem+json")
    assert problem_of(answer, 431, "headers_too_large")["detail"].startswith("The request line and headers may have")
    assert _lives(web)


def _answer_to_the_patient(url: str, head: bytes) -> bytes:
    """Send a head in pieces until there is an answer."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as connection:
        for start in range(0, len(head), 16_384):
            connection.sendall(head[start : start + 16_384])
            connection.settimeout(0.01)
            try:
                return connection.recv(65_536)
            except TimeoutError:
                connection.settimeout(PATIENCE_SECONDS)
        pytest.fail("all of it was taken")


class _Hasty(Protocol):
    head_seconds = 0.2


@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\nHost: baton\r\n\r\nGET "], ids=repr
)
def test_a_connection_whose_request_does_not_come_is_closed(settings: Settings, sent: bytes) -> None:
    with running(create_app(settings), http=_Hasty) as url:
        answers = speak(url, sent)

    *before, last = answers.rpartition(b"HTTP/1.1 408")
    assert (b'{"status":"ok"}' in before[0]) == (b"livez HTTP/1.1\r\nHost" in sent)
    problem_of(parse(before[1] + last), 408, "request_timeout")


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize("sent", [b"", BODY[:-1]], ids=repr)
def test_a_write_whose_body_does_not_come_is_refused(
    settings: Settings, api: Api, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_SILENCE_SECONDS", 0.2)
    with running(create_app(settings)) as url:
        answer = parse(speak(url, _post(api, b"Content-Length: 13").replace(b"Connection: close\r\n", b"") + sent))

    problem_of(answer, 408, "request_timeout")


def test_a_long_answer_is_not_cut_by_the_bound_on_headers(settings: Settings, api: Api, worker: Worker) -> None:
    with running(create_app(settings), http=_Hasty) as url, worker.frozen():
        path = f"/v1/requests/{api.submit()['request_id']}"
        asked = httpx.get(
            f"{url}{path}",
            headers={"Authorization": f"Bearer {api.token}", "Prefer": "wait=1"},
            timeout=PATIENCE_SECONDS,
        )

    assert asked.json()["request"]["status"] == "queued"


def test_headers_just_below_the_bound_are_read(api: Api) -> None:
    response = api.get("/v1/tasks", headers={"X-Long": "x" * 60_000})

    assert response.status_code == 200


@pytest.mark.usefixtures("nothing_is_accepted")
def test_what_follows_a_request_whose_body_is_refused_is_not_taken_for_another(api: Api, web: str) -> None:
    hidden = b"POST /v1/tasks HTTP/1.1\r\nHost: baton\r\nContent-Length: 13\r\n\r\n" + BODY
    head = _post(api, b"Content-Length: 0", b"Content-Length: %d" % len(hidden))

    problem_of(parse(speak(web, head + hidden)), 400, "malformed_request")


@pytest.mark.usefixtures("nothing_is_accepted")
def test_what_follows_a_body_is_no_header(api: Api, web: str) -> None:
    secret = f"Authorization: Bearer {api.token}".encode()
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: baton\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = parse(speak(web, head + b"d\r\n" + BODY + b"\r\n0\r\n" + secret + b"\r\n\r\n"))

    problem_of(answer, 401, "unauthorized")


@pytest.mark.usefixtures("nothing_is_accepted")
@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ([b"Content-Length: 13"], b""),
        ([b"Content-Length: 13"], BODY[:-1]),
        ([b"Transfer-Encoding: chunked"], b"d\r\n" + BODY + b"\r\n"),
        ([b"Transfer-Encoding: chunked"], b"d\r\n" + BODY[:4]),
    ],
    ids=repr,
)
def test_a_write_that_is_cut_off_is_not_accepted(api: Api, web: str, fields: list[bytes], sent: bytes) -> None:
    assert speak(web, _post(api, *fields) + sent, then_hang_up=True) == b""
    assert _lives(web)


def test_a_write_whose_client_does_not_stay_for_the_answer_is_executed(api: Api, web: str) -> None:
    address = urlsplit(web)
    head = _post(api, b"Content-Length: 13", b"Idempotency-Key: left", b"Prefer: wait=30")
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as connection:
        connection.sendall(head + BODY)

    receipt = api.post("/v1/tasks", {"title": "x"}, headers={"Idempotency-Key": "left", "Prefer": "wait=30"})
    assert receipt.status_code == 201
    assert len(api.get("/v1/tasks").json()["tasks"]) == 1


def test_a_write_that_arrives_byte_by_byte_is_accepted(api: Api, web: str) -> None:
    address = urlsplit(web)
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in _post(api, b"Content-Length: 13") + BODY:
            connection.sendall(bytes([byte]))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 202 ")


def test_a_client_that_asks_first_is_told_to_go_on(api: Api, web: str) -> None:
    head = _post(api, b"Content-Length: 13", b"Expect: 100-continue")

    assert speak(web, head + BODY).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


def test_a_client_that_asks_first_is_refused_before_it_sends_too_much(api: Api, web: str) -> None:
    head = _post(api, b"Content-Length: 5000000", b"Expect: 100-continue")

    problem_of(parse(speak(web, head)), 413, "payload_too_large")


def test_a_client_that_asks_first_without_a_token_is_refused_before_it_sends_anything(web: str) -> None:
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: baton\r\nConnection: close\r\nContent-Length: 13\r\n"

    problem_of(parse(speak(web, head + b"Expect: 100-continue\r\n\r\n")), 401, "unauthorized")


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_an_upgrade_is_declined_and_the_request_answered(web: str, upgrade: bytes) -> None:
    head = (
        b"GET /v1/tasks HTTP/1.1\r\nHost: baton\r\nConnection: Upgrade, close\r\nUpgrade: " + upgrade + b"\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    problem_of(parse(speak(web, head)), 401, "unauthorized")


def test_requests_in_one_pipeline_are_answered_in_order(web: str) -> None:
    piped = b"GET /livez HTTP/1.1\r\nHost: baton\r\n\r\n"
    last = b"GET /nope HTTP/1.1\r\nHost: baton\r\nConnection: close\r\n\r\n"

    answers = speak(web, piped * 3 + last)

    assert answers.count(b'{"status":"ok"}') == 3
    assert answers.rindex(b'{"status":"ok"}') < answers.index(b"resource_not_found")


@pytest.mark.parametrize(
    ("second", "status", "code"),
    [
        (b"}}", 400, "malformed_request"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_request"),
        (b"GET /livez HTTP/1.1\r\nX-Long: " + b"x" * 70_000, 431, "headers_too_large"),
    ],
    ids=lambda part: repr(part)[:60],
)
@pytest.mark.parametrize("writes", [1, 2])
def test_a_refusal_waits_for_the_answers_to_what_was_asked_before(
    api: Api, web: str, writes: int, second: bytes, status: int, code: str
) -> None:
    head = _post(api, b"Content-Length: 13", b"Prefer: wait=30").replace(b"Connection: close\r\n", b"")

    answers = speak(web, (head + BODY) * writes + second)

    *written, refused = answers.split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in written] == [b"201"] * writes
    problem_of(parse(b"HTTP/1.1 " + refused), status, code)


def test_a_request_that_was_answered_is_not_refused_as_well(web: str) -> None:
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: baton\r\nTransfer-Encoding: chunked\r\n\r\n"
    address = urlsplit(web)
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as connection:
        connection.sendall(head)
        answer = b""
        while not answer.endswith(b"}"):  # its head may come alone
            answer += connection.recv(65_536)
        problem_of(parse(answer), 401, "unauthorized")
        connection.sendall(b"zz\r\n")

        assert connection.recv(65_536) == b""


@needs_curl
def test_http_1_0_is_answered(web: str) -> None:
    answer = curl(f"{web}/livez", "--http1.0")

    assert answer.json() == {"status": "ok"}
    assert answer.headers["connection"] == "close"
