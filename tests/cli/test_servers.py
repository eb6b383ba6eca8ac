"""Which servers a stack starts and keeps running; the servers are stand-ins."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.servers import keep_running, servers_of
from tests.cli.stand_ins import Recorder


class StandIn:
    """A server whose starts fail as often as it is told to."""

    def __init__(self) -> None:
        self.running = True
        self.failures = 0
        self.url = "redis://127.0.0.1:9/0"

    def start(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no space left on device")
        self.running = True

    def stop(self) -> None:
        self.running = False


@pytest.fixture
async def kept() -> AsyncIterator[tuple[StandIn, Recorder]]:
    server, output, stopping = StandIn(), Recorder(), asyncio.Event()
    keeping = asyncio.create_task(keep_running("Valkey", server, stopping, output))
    yield server, output
    stopping.set()
    await keeping


async def test_a_server_that_ends_is_started_again(kept: tuple[StandIn, Recorder]) -> None:
    server, output = kept
    server.running = False
    await output.wait_for("baton", lambda lines: lines[-1:] == ["Valkey is back"])
    assert server.running


async def test_a_start_that_fails_is_told_and_tried_again(kept: tuple[StandIn, Recorder]) -> None:
    server, output = kept
    server.failures = 2
    server.running = False
    said = await output.wait_for("baton", lambda lines: lines[-1:] == ["Valkey is back"])
    assert sum("no space left on device" in line for line in said) == 2


def test_servers_that_the_environment_names_are_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_DATABASE_URL", "postgresql://there/baton")
    monkeypatch.setenv("BATON_REDIS_URL", "redis://there/0")
    said: list[str] = []
    with servers_of(tmp_path / "home", said.append) as servers:
        assert (servers.database_url, servers.redis_url) == ("postgresql://there/baton", "redis://there/0")
        assert servers.own == {}
    assert said == []


def test_each_server_is_embedded_on_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_DATABASE_URL", "postgresql://there/baton")
    monkeypatch.delenv("BATON_REDIS_URL", raising=False)
    with servers_of(tmp_path / "home", print) as servers:
        assert servers.database_url == "postgresql://there/baton"
        valkey = servers.own["Valkey"]
        assert servers.redis_url == valkey.url
        assert valkey.running
    assert not valkey.running
