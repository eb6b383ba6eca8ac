"""Start processes that die with this one."""

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from embedded import trampoline
from embedded.accounts import Account

_Job = tuple["Command", "Future[subprocess.Popen[bytes]]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run, away from the terminal, with nothing inherited but what is named here."""

    words: Sequence[str]
    folder: Path
    log: BinaryIO
    lock: int
    death_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None
    stdin: BinaryIO | None = None


def spawn(command: Command) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; `death_signal` reaches it when this process ends in any way.

    Raises OSError when it cannot be started. A program that cannot be executed ends and its log says why.
    """
    started: Future[subprocess.Popen[bytes]] = Future()
    _keeper(os.getpid()).put((command, started))
    try:
        return started.result()
    except BaseException:
        # Ctrl-C may come between the fork and our knowing the process.
        started.add_done_callback(_kill_started)
        raise


def run(command: Command, seconds: float) -> int:
    """Run a command to its end and return its status; after so many seconds it is killed: TimeoutExpired."""
    process = spawn(command)
    try:
        return process.wait(seconds)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


@functools.cache
def _keeper(_pid: int) -> "SimpleQueue[_Job]":
    """Return the queue of the thread that forks, one per process.

    The kernel sends the death signal when the *thread* that forked ends: one that never does forks for all.
    """
    jobs: SimpleQueue[_Job] = SimpleQueue()
    threading.Thread(target=_serve, args=(jobs,), name="embedded-spawn", daemon=True).start()
    return jobs


def _serve(jobs: "SimpleQueue[_Job]") -> None:
    while True:
        command, started = jobs.get()
        try:
            started.set_result(_popen(command))
        except Exception as error:  # noqa: BLE001 - the servers would die with this thread
            started.set_exception(error)


def _popen(command: Command) -> subprocess.Popen[bytes]:
    account = "-" if command.account is None else f"{command.account.uid}:{command.account.gid}"
    words = (str(int(command.death_signal)), str(os.getpid()), account, *command.words)
    return subprocess.Popen(
        (sys.executable, "-I", "-S", trampoline.__file__, *words),
        cwd=command.folder,
        env=_environment(),
        stdin=subprocess.DEVNULL if command.stdin is None else command.stdin,
        stdout=command.log,
        stderr=command.log,
        pass_fds=(command.lock,),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Leave out what would change Postgres's defaults behind our back (PGDATA, PGPORT, ...)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _kill_started(started: "Future[subprocess.Popen[bytes]]") -> None:
    if started.exception() is None:
        started.result().kill()
