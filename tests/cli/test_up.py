"""`baton up` as a user meets it: a real stack, started, spoken to, started again, stopped."""

import asyncio
import json
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values
from mcp import Client, StdioServerParameters

from tests.cli.commands import BATON
from tests.functional.stack import Stack, until


class Up(Stack):
    """A stack whose `start` takes options and returns once the summary is printed."""

    def start(self, *options: str) -> None:
        self.log.write_bytes(b"")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BATON, "up", *options], env=self.environment, stdout=log, stderr=log)
        until(self._has_summed_up, "the summary is printed", seconds=180, blame=self.log)

    def move_to_another_port(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment["BATON_PORT"] = str(self.port)

    def _has_summed_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return "Ctrl-C stops everything" in self.log.read_text()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    stack = Up(tmp_path_factory.mktemp("a stack") / "home", workers=1)
    stack.start()
    yield stack
    assert stack.stop() == 0, stack.log.read_text()


def test_the_home_folder_tells_others_where_the_stack_is_and_nobody_else(up: Up) -> None:
    assert up.tokens.keys() == {"url", "person", "agent"}
    assert up.tokens["url"] == f"http://127.0.0.1:{up.port}"
    env = dotenv_values(up.home / "env")
    assert env.keys() == {"BATON_DATABASE_URL", "BATON_REDIS_URL", "BATON_HOST", "BATON_PORT"}
    assert env["BATON_PORT"] == str(up.port)
    for name in ("tokens.json", "env"):
        assert stat.S_IMODE((up.home / name).stat().st_mode) == 0o600


def test_other_commands_find_the_running_stack(up: Up) -> None:
    (workspace,) = json.loads(up.baton("tenant", "list", "--json").stdout)
    assert workspace["id"] == "ten_demo"
    tokens = json.loads(up.baton("token", "list", "--json").stdout)
    scopes = {token["actor_id"]: token["scopes"] for token in tokens}
    assert scopes["agt_demo"] == ["crm:read", "tasks:read", "tasks:write", "activity:write"]
    assert len(scopes["usr_demo"]) == 8


def test_the_doctor_finds_nothing_wrong(up: Up) -> None:
    doctor = up.baton("doctor", "--json", check=False)
    assert doctor.returncode == 0, doctor.stdout
    assert {finding["state"] for finding in json.loads(doctor.stdout)} == {"ok"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_line_works_when_it_is_pasted(up: Up) -> None:
    _, curl, rest = up.log.read_text().partition("\ncurl ")
    line = (curl + rest).split("\n\n")[0]
    answer = json.loads(subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout)
    assert answer["task"]["title"] == "Follow up with Jane Doe"
    assert answer["task"]["status"] == "open"
    assert answer["task"]["related_resource_id"] == "con_123"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_stdio_snippet_serves_an_mcp_client(up: Up, mode: str) -> None:
    _, _, snippet = up.log.read_text().partition("or over stdio:\n\n")
    server = json.loads(snippet.partition("\n\n")[0])["mcpServers"]["baton"]
    async with Client(StdioServerParameters(**server), mode=mode) as client:
        assert "create_task" in {tool.name for tool in (await client.list_tools()).tools}
        created = await client.call_tool("create_task", {"title": "Over stdio"})
        assert not created.is_error
        assert created.structured_content is not None
        assert created.structured_content["task"]["status"] == "open"


def test_a_second_one_on_the_same_home_is_refused_by_name(up: Up) -> None:
    refused = up.baton("up", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert up.process is not None
    assert f"as process {up.process.pid}" in refused.stderr


def test_a_taken_port_is_named_with_the_variable_that_changes_it(up: Up, tmp_path: Path) -> None:
    other = Up(tmp_path / "other", workers=1)
    other.environment["BATON_PORT"] = str(up.port)
    refused = other.baton("up", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"Port {up.port} " in refused.stderr
    assert "BATON_PORT=" in refused.stderr


def test_a_port_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    other = Up(tmp_path / "other", workers=1)
    other.environment["BATON_PORT"] = "70000"
    assert other.baton("up", check=False).returncode == 2


def test_a_stack_started_again_goes_on_where_it_was_even_after_a_kill(tmp_path: Path) -> None:
    stack = Up(tmp_path / "home", workers=1)
    stack.start("--demo")
    assert stack.process is not None
    first = stack.tokens
    check_samples(stack)
    stack.process.kill()
    stack.process.wait()

    stack.move_to_another_port()
    stack.start("--demo")
    assert stack.tokens == first | {"url": f"http://127.0.0.1:{stack.port}"}
    check_samples(stack)
    stack.process.send_signal(signal.SIGHUP)
    assert stack.process.wait() == 0

    shutil.rmtree(stack.home / "postgres")
    stack.start()
    assert stack.tokens["person"] != first["person"]
    headers = {"Authorization": f"Bearer {first['person']}"}
    assert httpx.get(f"{stack.url}/v1/tasks", headers=headers).status_code == httpx.codes.UNAUTHORIZED
    assert stack.stop() == 0


def check_samples(stack: Up) -> None:
    """Every sample is there, once, with requests and audit events of both actors behind it."""
    with stack.client("person") as client:
        events = until(lambda: all_events(client), "the samples are there")
        assert len(client.get("/v1/tasks", params={"limit": 100}).json()["tasks"]) == 12
    assert {(event["action"], event["outcome"], event["actor"]["type"]) for event in events} >= {
        ("task.create", "applied", "agent"),
        ("task.create", "applied", "user"),
        ("task.complete", "applied", "agent"),
        ("task.complete", "failed", "agent"),
        ("task.cancel", "applied", "user"),
        ("task.reopen", "applied", "user"),
    }


def all_events(client: httpx.Client) -> list[dict[str, dict[str, str]]]:
    """Return the audit events once there is one for each of the samples' writes."""
    events = client.get("/v1/audit-events", params={"limit": 100}).json()["audit_events"]
    return list(events) if len(events) == 19 else []


def test_a_stop_in_the_middle_of_starting_is_a_stop(tmp_path: Path) -> None:
    stack = Up(tmp_path / "home", workers=1)
    with subprocess.Popen([BATON, "up"], env=stack.environment, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr is not None
        assert "starting Postgres" in starting.stderr.readline()
        starting.terminate()
        assert starting.stderr.read().endswith("stopped\n")
    assert starting.returncode == 0


async def test_the_bridge_lives_through_a_restart_of_the_api(up: Up) -> None:
    environment = {"BATON_HOME": str(up.home), "BATON_TOKEN": up.tokens["agent"]}
    async with Client(StdioServerParameters(command=BATON, args=["mcp"], env=environment)) as client:
        before = await client.list_tools()
        (killed,) = await asyncio.to_thread(up.kill, "web")
        await asyncio.to_thread(until, lambda: killed not in up.pids("web") and up._announced(), "the API is back")
        assert (await client.list_tools()).tools == before.tools
