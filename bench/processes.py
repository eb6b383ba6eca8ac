"""The processes of a contender: started with a log, held still whenever it is not their turn, ended with the bench."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli.programs import Program
from embedded import trampoline

_STOP_SECONDS = 15.0


class Process:
    """A running program and its children, in a session of their own."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.name = program.name
        self._log = logs / f"{program.name}.log"
        launcher = (sys.executable, "-I", "-S", trampoline.__file__, str(int(signal.SIGKILL)), str(os.getpid()), "-")
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*launcher, *program.words],
                cwd=program.folder,
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def hold(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def let_go(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def check(self) -> None:
        """Raise RuntimeError with what the process said last, where it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self._log.read_text()[-4_000:]}")

    def peak_megabytes(self) -> int:
        """Return the most memory that it has held so far (Linux)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        self.let_go()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


def wait_until(condition: Callable[[], bool], what: str, *, poll: float, seconds: float) -> None:
    """Return when the condition holds; raises TimeoutError where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(poll)
