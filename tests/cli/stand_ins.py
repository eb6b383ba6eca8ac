"""Programs to supervise that are a line of shell, and an output that tests can wait for."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from cli.programs import Program

FOREVER = "while :; do sleep 60 & wait; done"


def program(script: str, name: str = "it", folder: Path = Path("/")) -> Program:
    """Return a program that runs a shell script; `$$` there is its process id."""
    quoted = script.replace("'", "'\\''")
    return Program(name, f"sh -c '{quoted}'", folder, {"PATH": os.environ["PATH"]})


class Recorder:
    """An output that remembers its lines, those of Baton's own under the name `baton`."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def line(self, name: str, text: str) -> None:
        self.lines.append((name, text))
        self._more.set()

    def notice(self, text: str) -> None:
        self.line("baton", text)

    def of(self, name: str) -> list[str]:
        return [text for whose, text in self.lines if whose == name]

    async def wait_for(self, name: str, wanted: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the lines of a process are as wanted, and return them."""
        while not wanted(self.of(name)):
            self._more.clear()
            await self._more.wait()
        return self.of(name)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
