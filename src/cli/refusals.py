"""What a model is told when Baton does not answer its request, in words that it can act on."""

import json
from http import HTTPStatus
from typing import NamedTuple

import httpx2

_MEND = "Make one with `baton token create` and start this MCP server again with it as BATON_TOKEN."
_REPEAT = "If it was a write with an idempotency_key, send it again with the same key: it happens once."


class Refusal(NamedTuple):
    """A sentence to read, one of the API's error codes, and whether to try again."""

    text: str
    code: str
    retryable: bool


def out_of_reach(url: str) -> Refusal:
    """Say that there is no connection: nothing was sent."""
    text = (
        f"Baton cannot be reached at {url}; nothing was changed."
        " Ask for it to be started (`make run`), or for BATON_URL to be set to where it runs, then try again."
    )
    return Refusal(text, "unavailable", retryable=True)


def cut_off(url: str, error: httpx2.HTTPError | None = None) -> Refusal:
    """Say that the connection ended, or fell silent, before the answer: the request may have been carried out."""
    why = f" ({type(error).__name__})" if error else ""
    return Refusal(
        f"The connection to Baton at {url} broke before the answer came{why}. {_REPEAT}", "unavailable", retryable=True
    )


def refusal_of(answer: httpx2.Response, url: str) -> Refusal:
    """Read a refusal from an HTTP answer that is no JSON-RPC message."""
    problem = problem_of(answer)
    detail = str(problem.get("detail") or problem.get("title") or "")
    code = str(problem.get("code") or "")
    match answer.status_code:
        case HTTPStatus.UNAUTHORIZED:
            text = f"Baton at {url} does not accept the token: it is unknown, expired or revoked. {_MEND}"
            return Refusal(text, code or "unauthorized", retryable=False)
        case HTTPStatus.FORBIDDEN:
            text = f"{detail or 'The token lacks a required scope.'} {_MEND}"
            return Refusal(text, code or "missing_required_scope", retryable=False)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.BAD_GATEWAY | HTTPStatus.SERVICE_UNAVAILABLE:
            text = f"Baton at {url} cannot take this now: {detail or f'HTTP {answer.status_code}'}. Try again."
            return Refusal(text, code or "unavailable", retryable=True)
        case status:
            text = f"Baton at {url} answered HTTP {status}, not with MCP{f': {detail}' if detail else '.'}"
            return Refusal(text, code or "internal_error", retryable=bool(problem.get("retryable")))


def problem_of(answer: httpx2.Response) -> dict[str, object]:
    """Return the problem document (RFC 9457) of an answer that was read; empty where it has none."""
    try:
        problem = json.loads(answer.content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
