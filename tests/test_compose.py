"""The compose file, read by the real `docker compose`: no engine is needed to resolve it."""

import json
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PASSWORDS = {"BATON_POSTGRES_PASSWORD": "pgsecret", "BATON_VALKEY_PASSWORD": "vksecret"}
WORKERS = {"worker", "bulk", "beat"}
PROCESSES = WORKERS | {"web"}

Services = dict[str, dict[str, Any]]


def compose_config(tmp_path: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Resolve the compose file with these variables only, whatever the developer's own .env says."""
    dotenv = tmp_path / "dotenv"
    dotenv.touch()
    return subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "docker-compose",
            *("--file", ROOT / "docker-compose.yml", "--env-file", dotenv),
            *("config", "--format", "json"),
        ],
        env={"HOME": str(tmp_path), "PATH": ""} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def services(tmp_path: Path) -> Services:
    resolved = compose_config(tmp_path, PASSWORDS)
    assert resolved.returncode == 0, resolved.stderr
    assert not resolved.stderr
    found: Services = json.loads(resolved.stdout)["services"]
    return found


@pytest.fixture
def procfile() -> dict[str, list[str]]:
    """Return each process's arguments, with the Procfile's defaults filled in but for the address."""
    lines = (ROOT / "Procfile").read_text().replace("${BATON_HOST:-127.0.0.1}", "0.0.0.0").splitlines()  # noqa: S104 — inside a container
    commands = (re.sub(r"\$\{\w+:-(.*?)\}", r"\1", line).partition(": ") for line in lines)
    return {name: shlex.split(command) for name, _, command in commands}


def test_a_stack_is_two_servers_a_migration_and_the_processes_of_the_procfile(
    services: Services, procfile: dict[str, list[str]]
) -> None:
    assert set(procfile) == PROCESSES
    assert set(services) == {"postgres", "valkey", "migrate"} | PROCESSES


def test_every_process_and_the_migration_run_the_same_image(services: Services) -> None:
    assert len({services[name]["image"] for name in PROCESSES | {"migrate"}}) == 1
    assert len({services[name]["build"]["context"] for name in PROCESSES | {"migrate"}}) == 1


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_a_worker_runs_the_procfiles_command(name: str, services: Services, procfile: dict[str, list[str]]) -> None:
    assert services[name]["command"] == procfile[name]


def test_the_image_runs_the_procfiles_web_command_by_default(
    services: Services, procfile: dict[str, list[str]]
) -> None:
    (default,) = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert json.loads(default) == procfile["web"]
    assert services["web"]["command"] is None


def test_processes_start_once_the_servers_are_healthy_and_migrated(services: Services) -> None:
    assert services["migrate"]["restart"] == "no"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in PROCESSES:
        waits_for = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits_for == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "valkey": "service_healthy",
        }


def test_everything_but_the_migration_is_started_again_when_it_dies(services: Services) -> None:
    restarts = {name: service["restart"] for name, service in services.items()}
    assert restarts.pop("migrate") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_only_the_web_process_can_be_reached_and_only_from_this_machine(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"web"}
    (port,) = published["web"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8765", 8765)


def test_each_server_keeps_its_data_in_a_volume_of_its_own(services: Services) -> None:
    kept = {name: service["volumes"] for name, service in services.items() if "volumes" in service}
    volumes = {name: [(volume["type"], volume["source"]) for volume in kept[name]] for name in kept}
    assert volumes == {"postgres": [("volume", "postgres")], "valkey": [("volume", "valkey")]}


def test_valkey_persists_and_refuses_rather_than_evicts(services: Services) -> None:
    command = shlex.join(services["valkey"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert re.search(r"--maxmemory \d+", command)
    assert "--requirepass vksecret" in command


@pytest.mark.parametrize("missing", sorted(PASSWORDS))
def test_a_missing_password_is_refused_by_name(missing: str, tmp_path: Path) -> None:
    resolved = compose_config(tmp_path, {name: value for name, value in PASSWORDS.items() if name != missing})
    assert resolved.returncode != 0
    (message,) = resolved.stderr.splitlines()
    assert f"required variable {missing} is missing a value: set it to" in message
