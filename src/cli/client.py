"""Calls to the running API, and what its refusals mean for a command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import click
import httpx2

from cli.exits import Failure, NotAllowed
from cli.refusals import problem_of
from cli.stack import is_here, person_token

Json = dict[str, Any]

_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_NOT_NOW = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class ApiUrl(click.ParamType[str]):
    """Where an API is, with or without the path of its MCP endpoint."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL without a slash at its end."""
        try:
            parts = urlsplit(value)
            sound = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            self.fail(f"{value!r} is not like http://127.0.0.1:8765.", param, ctx)
        return value.rstrip("/").removesuffix("/mcp")


class NotNow(Exception):
    """The API cannot be reached, or asks to be asked again; `after` is in how many seconds, where it says so."""

    def __init__(self, reason: str, *, answered: bool, after: float = 0) -> None:
        """Take a sentence without a full stop, and whether there was an answer at all."""
        super().__init__(reason)
        self.reason = reason
        self.answered = answered
        self.after = after


class Refused(Failure):
    """The API does not do what it was asked to; `code` is one of its error codes."""

    def __init__(self, message: str, code: str) -> None:
        """Take what to tell, and the code."""
        super().__init__(message)
        self.code = code


class Client:
    """Calls the API at a URL with a token; each call is one try."""

    def __init__(self, url: str, token: str | None) -> None:
        """Take whom to call, and the token; by default that of the person whom `baton up` made.

        Raises:
            NotAllowed: there is no token for this URL, or what was given is none.

        """
        secret = (token or person_token(url) or "").strip()
        if not secret:
            raise NotAllowed(
                f"There is no token for {url}. Set BATON_TOKEN to one with the scope tasks:write;"
                " `baton token create` makes one."
            )
        if not secret.isascii() or not secret.isprintable():
            raise NotAllowed("BATON_TOKEN is not a token: it contains characters that no token has.")
        self.url = url
        self._http = httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {secret}"},
            timeout=_TIMEOUT,
            trust_env=not is_here(url),
        )

    def find_import(self, key: str) -> Json | None:
        """Return the import that was begun under an idempotency key; raises as `call`."""
        found: list[Json] = self._member("imports", "GET", "/v1/imports", params={"idempotency_key": key})
        return next(iter(found), None)

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Return the import that the API answers with.

        Raises:
            NotNow: it may answer later.
            Refused: it does not do this.
            NotAllowed: it does not do it with this token.
            Failure: what answers is not Baton.

        """
        known: Json = self._member("import", method, path, **options)
        return known

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx2.Response]:
        """Yield the API's answer while its body arrives; raises as `call`."""
        try:
            with self._http.stream(method, path, **options) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refusal(answer)
                yield answer
        except httpx2.HTTPError as error:
            answered = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            what = "The connection to Baton broke" if answered else f"Baton cannot be reached at {self.url}"
            raise NotNow(f"{what} ({str(error) or type(error).__name__})", answered=answered) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _member(self, name: str, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - what JSON may hold
        with self.stream(method, path, **options) as answer:
            try:
                return json.loads(answer.read())[name]
            except (ValueError, LookupError, TypeError):
                raise Failure(f"What answers at {self.url} is not Baton.") from None

    def _refusal(self, answer: httpx2.Response) -> Exception:
        problem = problem_of(answer)
        detail = str(problem.get("detail") or f"{self.url} answers HTTP {answer.status_code}")
        match answer.status_code:
            case status if status in _NOT_NOW:
                return NotNow(detail.rstrip("."), answered=True, after=_retry_after(answer))
            case HTTPStatus.UNAUTHORIZED:
                return NotAllowed(f"Baton at {self.url} does not accept the token: it is unknown, expired or revoked.")
            case HTTPStatus.FORBIDDEN:
                return NotAllowed(detail)
            case _:
                return Refused(detail, str(problem.get("code", "")))


def _retry_after(answer: httpx2.Response) -> float:
    """Return the seconds that an answer asks to wait; 0 where it does not say, or says it as a date."""
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else 0
