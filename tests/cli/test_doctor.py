"""`baton doctor` on a stack without Baton's own processes: servers only, or not even these."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import RedisDsn

from core.settings import Settings
from tests.api.serving import running, serving
from tests.cli.commands import run, variables_of
from tests.concurrency import wait_until

Findings = dict[str, dict[str, Any]]
NOBODY = "http://127.0.0.1:9"


def diagnose(home: Path, url: str = NOBODY, **variables: str) -> tuple[int, Findings]:
    """Return the exit code and the last finding about each subject."""
    done = run("doctor", "--json", BATON_HOME=str(home), BATON_URL=url, **variables)
    assert done.stderr == ""
    return done.returncode, {finding["subject"]: finding for finding in json.loads(done.stdout)}


def states(findings: Findings) -> dict[str, str]:
    return {subject: finding["state"] for subject, finding in findings.items()}


def test_without_a_stack_it_says_how_to_get_one(tmp_path: Path) -> None:
    code, findings = diagnose(tmp_path)
    assert code == 1
    assert states(findings) == {"Python": "ok", "settings": "problem", "tokens": "hint"}
    assert "make run" in findings["settings"]["detail"]


def test_servers_without_processes_are_told_apart(tmp_path: Path, settings: Settings) -> None:
    code, findings = diagnose(tmp_path, **variables_of(settings))
    assert code == 1
    found = states(findings)
    assert {found.pop(subject) for subject in ("API", "workers")} == {"problem"}
    assert found.pop("queue") in {"ok", "problem"}  # other tests leave requests behind
    assert found.pop("tokens") == "hint"
    assert set(found.values()) == {"ok"}
    assert all(finding["advice"] for finding in findings.values() if finding["state"] != "ok")


def test_a_service_that_is_ready_is_said_to_be(tmp_path: Path, settings: Settings) -> None:
    with serving(settings) as url:
        wait_until(lambda: httpx.get(f"{url}/readyz").json()["status"] == "ready")
        _, findings = diagnose(tmp_path, url, **variables_of(settings))
    assert (findings["API"]["state"], findings["API"]["detail"]) == ("ok", f"{url} is ready")


def test_a_service_that_is_degraded_is_a_problem(tmp_path: Path, settings: Settings) -> None:
    nowhere = RedisDsn("redis://127.0.0.1:9/0")
    with serving(settings, redis_url=nowhere) as url:
        code, findings = diagnose(tmp_path, url, **variables_of(settings))
    assert code == 1
    assert findings["API"]["state"] == "problem"
    assert '"broker":"unreachable"' in findings["API"]["detail"]


def test_another_program_at_the_address_is_a_problem(tmp_path: Path, settings: Settings) -> None:
    other = FastAPI(default_response_class=PlainTextResponse)
    other.get("/readyz")(lambda: "Welcome!")
    with running(other) as url:
        _, findings = diagnose(tmp_path, url, **variables_of(settings))
    assert findings["API"]["state"] == "problem"
    assert "Welcome!" in findings["API"]["detail"]


def test_servers_that_are_away_are_named_and_what_needs_them_is_left_out(tmp_path: Path) -> None:
    away = {
        "BATON_DATABASE_URL": "postgresql://baton:secret@127.0.0.1:9/baton",
        "BATON_REDIS_URL": "redis://:secret@127.0.0.1:9/0",
    }
    code, findings = diagnose(tmp_path, **away)
    assert code == 1
    assert states(findings).keys() == {"Python", "settings", "tokens", "Postgres", "Valkey", "API"}
    assert "127.0.0.1:9" in findings["Postgres"]["detail"]
    assert "127.0.0.1:9" in findings["Valkey"]["detail"]
    assert "secret" not in json.dumps(findings)


@pytest.mark.parametrize(
    ("content", "mode", "state"),
    [
        ('{"url": "u", "person": "p", "agent": "a"}', 0o600, "ok"),
        ('{"url": "u", "person": "p", "agent": "a"}', 0o644, "problem"),
        ('{"url": "u"}', 0o600, "problem"),
        ("[]", 0o600, "problem"),
        ("{", 0o600, "problem"),
    ],
)
def test_the_tokens_file_must_be_whole_and_private(tmp_path: Path, content: str, mode: int, state: str) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(content)
    file.chmod(mode)
    assert diagnose(tmp_path)[1]["tokens"]["state"] == state


def test_for_people_it_is_a_line_for_each_thing(tmp_path: Path) -> None:
    done = run("doctor", BATON_HOME=str(tmp_path))
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok", "problem", "hint"]
