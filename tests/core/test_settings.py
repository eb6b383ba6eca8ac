"""Configuration: the environment first, then the stack's env file, and nothing that makes no sense."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import Settings, checkout_home, load_settings

_URLS = {"BATON_DATABASE_URL": "postgresql://baton@db/baton", "BATON_REDIS_URL": "redis://broker:6379/0"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names both servers and a home of the test, and nothing else of Baton's."""
    for name in [name for name in os.environ if name.startswith("BATON_")]:
        monkeypatch.delenv(name)
    for name, value in _URLS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BATON_HOME", str(tmp_path))
    return monkeypatch


def test_the_environment_goes_before_the_env_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("BATON_PORT=9000\nBATON_HOST=192.0.2.1\n")
    environment.setenv("BATON_PORT", "9001")

    settings = load_settings.__wrapped__()

    assert (settings.port, settings.host) == (9001, "192.0.2.1")


def test_the_servers_may_come_from_the_env_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in _URLS:
        environment.delenv(name)
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in _URLS.items()))

    settings = load_settings.__wrapped__()

    assert str(settings.redis_url) == _URLS["BATON_REDIS_URL"]


def test_without_a_server_there_are_no_settings(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BATON_DATABASE_URL")

    with pytest.raises(ValidationError, match="database_url"):
        load_settings.__wrapped__()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://db/baton"),
        ("DATABASE_URL", "postgresql+psycopg://db/baton"),
        ("DATABASE_URL", "db"),
        ("REDIS_URL", "http://broker"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("DATABASE_TIMEOUT", "0"),
        ("MCP_WAIT", "31"),
        ("MCP_WAIT", "-1"),
        ("TOKEN_CACHE_SECONDS", "60"),
        ("INTAKE_BATCH", "0"),
        ("EXECUTION_BATCH", "0"),
        ("MAX_ATTEMPTS", "0"),
        ("RESEND_AFTER", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(f"BATON_{name}", value)

    with pytest.raises(ValidationError) as refused:
        load_settings.__wrapped__()

    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


def test_settings_cannot_be_changed(settings: Settings) -> None:
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_the_home_is_that_of_the_working_folder_where_it_has_one(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.delenv("BATON_HOME")
    environment.chdir(tmp_path)
    assert checkout_home() != tmp_path / ".baton"

    (tmp_path / ".baton").mkdir()

    assert checkout_home() == tmp_path / ".baton"
