"""Keep processes running until they are asked to stop.

A process that ends is started again: at once at first, then after pauses that grow from 0.2 to 5 seconds while it
keeps failing. To stop, every process gets SIGTERM and ten seconds, then SIGKILL.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from cli.child import Child, how_it_ended
from cli.programs import Program

STOP_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A process that ran for so long had started; its next end is a new matter.
_STARTED_AFTER_SECONDS = 10.0
_FAILURES_WORTH_EXPLAINING = 3
_LAST_LINES = 12
_OUTPUT_MAY_TAKE_SECONDS = 1.0


class Output(Protocol):
    """Where lines go."""

    def line(self, name: str, text: str) -> None:
        """Show a line that the process of this name wrote."""

    def notice(self, text: str) -> None:
        """Show a line of Baton's own."""


class Backoff:
    """The pauses between the starts of something that keeps failing."""

    def __init__(self) -> None:
        self.failures = 0
        self._pause = _FIRST_PAUSE_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Return how long to pause, in seconds, after a run of so many."""
        if ran_seconds >= _STARTED_AFTER_SECONDS:
            self.failures = 0
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS) if self.failures else _FIRST_PAUSE_SECONDS
        self.failures += 1
        return self._pause


class Supervisor:
    """Runs programs; `stop` ends them all, and called again it no longer waits for them."""

    def __init__(self, programs: Iterable[Program], output: Output, stop_seconds: float = STOP_SECONDS) -> None:
        """Take the programs and how long each may take to end."""
        self._programs = list(programs)
        self._output = output
        self._stop_seconds = stop_seconds
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    def stop(self) -> None:
        """Ask every process to end; the second call kills what is left."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    @property
    def stopping(self) -> asyncio.Event:
        """Set once `stop` was called."""
        return self._stopping

    async def run(self) -> None:
        """Keep every program running; return when they have ended after `stop`."""
        async with asyncio.TaskGroup() as tasks:
            for program in self._programs:
                tasks.create_task(self._keep(program), name=program.name)

    async def _keep(self, program: Program) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            last_lines: deque[str] = deque(maxlen=_LAST_LINES)
            ending = await self._run_once(program, last_lines)
            if self._stopping.is_set():
                return
            pause = backoff.after(time.monotonic() - began)
            self._output.notice(f"{program.name} {ending}; starting it again in {pause:.1f} s")
            if backoff.failures == _FAILURES_WORTH_EXPLAINING:
                self._explain(program, last_lines)
            await wait_for_event(self._stopping, pause)

    async def _run_once(self, program: Program, last_lines: deque[str]) -> str:
        """Run a program to its end, or until `stop`, and return how it ended."""
        try:
            child = Child(program)
        except OSError as error:
            return f"could not be started: {error}"
        relaying = asyncio.create_task(self._relay(program, child, last_lines))
        ending = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await self._end(program, child, ending)
            return how_it_ended(await ending)
        finally:
            stopping.cancel()
            child.kill()
            # Bounded, since a process that left the group may hold the output open.
            await asyncio.wait({relaying}, timeout=_OUTPUT_MAY_TAKE_SECONDS)
            relaying.cancel()

    async def _end(self, program: Program, child: Child, ending: "asyncio.Task[int]") -> None:
        child.ask_to_end()
        hurrying = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({ending, hurrying}, timeout=self._stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            if not hurrying.done():
                self._output.notice(f"{program.name} did not end within {self._stop_seconds:g} s and is killed")
            child.kill()
        hurrying.cancel()

    async def _relay(self, program: Program, child: Child, last_lines: deque[str]) -> None:
        async for line in child.lines():
            last_lines.append(line)
            self._output.line(program.name, line)

    def _explain(self, program: Program, last_lines: Iterable[str]) -> None:
        said = "\n".join(f"    {line}" for line in last_lines if line.strip()) or "    (nothing)"
        self._output.notice(f"{program.name} keeps failing. The last it said:\n{said}")


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, for so many seconds at most; return whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
