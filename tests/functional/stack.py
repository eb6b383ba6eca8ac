"""A whole Baton as `make run` starts it: `baton up` in a folder of its own, and its processes by name."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parents[2]
BATON = Path(sys.prefix, "bin", "baton")

T = TypeVar("T")

_COMMANDS = {
    "web": "api.main:app",
    "worker": "maintenance,interactive",
    "bulk": "maintenance,bulk",
    "beat": "worker.beat:SteadyScheduler",
    "valkey": "valkey-server",
}


class Stack:
    """One running `baton up`."""

    def __init__(self, home: Path, *, workers: int) -> None:
        self.home = home
        self.workers = workers
        self.port = _free_port()
        self.log = home.with_suffix(".log")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BATON_")},
            "BATON_HOME": str(home),
            "BATON_PORT": str(self.port),
            "BATON_WORKERS": str(workers),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BATON, "up"], env=self.environment, stdout=log, stderr=log)
        until(self._announced, "the stack is ready", seconds=120, blame=self.log)

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    @property
    def url(self) -> str:
        return str(self.tokens["url"])

    @property
    def tokens(self) -> dict[str, str]:
        tokens: dict[str, str] = json.loads((self.home / "tokens.json").read_text())
        return tokens

    @property
    def database_url(self) -> str:
        lines = (self.home / "env").read_text().splitlines()
        return next(line.partition("=")[2].strip("'\"") for line in lines if line.startswith("BATON_DATABASE_URL="))

    def client(self, who: str = "person", **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=40, **options)

    def baton(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another `baton` command against this stack."""
        return subprocess.run(
            [BATON, *arguments], env=self.environment, check=check, capture_output=True, text=True, timeout=60
        )

    def pids(self, name: str) -> list[int]:
        """Return the processes of this stack of one name, as they are now."""
        if name == "postgres":
            return _with_children(int((self.home / "postgres" / "postmaster.pid").read_text().split()[0]))
        return [pid for pid in _processes_of(self.home) if _COMMANDS[name] in _command(pid)]

    def kill(self, name: str, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to every process of one name, as soon as there are as many as there should be."""
        pids = until(lambda: self._all(name), f"every {name} runs", blame=self.log)
        for pid in pids:
            os.kill(pid, number)
        return pids

    def freeze(self, name: str) -> list[int]:
        """Stop every process of one name where it is; `thaw` lets them go on."""
        return self.kill(name, signal.SIGSTOP)

    def _all(self, name: str) -> list[int]:
        pids = self.pids(name)
        return pids if len(pids) >= (self.workers if name == "worker" else 1) else []

    def _announced(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def thaw(pids: list[int]) -> None:
    """Let frozen processes go on, those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def connected_from(pids: list[int], ports: list[int]) -> list[int]:
    """Return those of the processes that have a connection from one of some local ports."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = {f"socket:[{each[9]}]" for each in sockets if int(each[1].rpartition(":")[2], 16) in ports}
    return [pid for pid in pids if any(str(fd.readlink()) in wanted for fd in Path(f"/proc/{pid}/fd").iterdir())]


def until(condition: Callable[[], T], what: str, *, seconds: float = 30, blame: Path | None = None) -> T:
    """Return what the condition gives once that is true; fail with the log where it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"after {seconds:g} s still not: {what}\n{blame.read_text()[-6000:] if blame else ''}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _processes_of(home: Path) -> list[int]:
    wanted = f"BATON_HOME={home}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes() or (folder / "cwd").readlink().is_relative_to(home):
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is not ours
    return found


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
