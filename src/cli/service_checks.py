"""The doctor's look at Baton itself: API, workers, and whether the queue moves."""

from collections.abc import Iterator

import httpx2
import psycopg

from cli.database import first_line
from cli.findings import Finding, hint, ok, problem
from cli.stack import running_url
from core.db import connect
from core.requests import waiting_longer_than
from core.settings import Settings

_PROBE_SECONDS = 2.0
_WAITS_TOO_LONG_SECONDS = 30
_START = "Start Baton with `make run`, or set BATON_URL to where it runs"


def check_api() -> Iterator[Finding]:
    """Look whether the web process lives and says that it is ready."""
    url = running_url()
    for path, wanted, meaning in (("/livez", "ok", "alive"), ("/readyz", "ready", "ready")):
        try:
            answer = httpx2.get(f"{url}{path}", timeout=_PROBE_SECONDS, trust_env=False)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            yield problem("API", f"{url} does not answer: {first_line(error)}", _START)
            return
        if _status(answer) == wanted:
            yield ok("API", f"{url} is {meaning}")
        else:
            said = f"{url}{path} answers {answer.status_code}: {answer.text.strip()[:200]}"
            yield problem("API", said, "Mend what it names")


def _status(answer: httpx2.Response) -> str | None:
    """Return the status that an answer names, None where it comes from another program."""
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get("status") if isinstance(document, dict) else None


def check_workers() -> Finding:
    """Look whether workers answer through the broker, within two seconds."""
    from core.queue import BROKER_ERRORS, celery_app

    try:
        answers = celery_app().control.ping(timeout=_PROBE_SECONDS)
    except BROKER_ERRORS as error:
        return problem("workers", f"the broker does not answer: {first_line(error)}", _START)
    names = sorted(name for answer in answers for name in answer)
    if names:
        return ok("workers", f"{len(names)} answer: {', '.join(names)}")
    return problem(
        "workers",
        f"none answers within {_PROBE_SECONDS:g} s, so that writes are accepted and wait",
        "Start them with `make run`; one that is busy with a batch may answer later",
    )


def check_queue(settings: Settings) -> Iterator[Finding]:
    """Look for requests that wait for longer than they should; a bulk lane may take its time."""
    try:
        with connect(settings, read_only=True) as connection:
            waiting = waiting_longer_than(connection, _WAITS_TOO_LONG_SECONDS)
    except psycopg.Error as error:
        yield problem("queue", first_line(error), "Run `baton migrate`")
        return
    if not waiting:
        yield ok("queue", f"no request waits for longer than {_WAITS_TOO_LONG_SECONDS} s")
    for lane, count, seconds in waiting:
        found = f"{count} {lane} requests wait, the first for {seconds} s"
        if lane == "bulk":
            yield hint("queue", found, "An import may take long; if none runs, look at the bulk worker's output")
        else:
            yield problem("queue", found, "Look at the workers' output; more of them: `baton up --workers N`")
