"""One running process of a stack: how it is started, listened to and ended."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing, suppress

from cli.programs import Program
from embedded import trampoline

_CHUNK_BYTES = 65_536
_LONGEST_LINE_BYTES = 1_048_576


class Child:
    """A process in a session of its own, so that the terminal's Ctrl-C reaches only the supervisor.

    It is killed when this process ends, however that happens. On Linux that goes by the thread that starts it,
    which has to be the main one. asyncio's own subprocesses are not used, since their `wait` goes on until whoever
    inherited the output has closed it.
    """

    def __init__(self, program: Program) -> None:
        """Start a program; raises OSError when that is not possible."""
        launcher = (sys.executable, "-I", "-S", trampoline.__file__)
        self._process = subprocess.Popen(
            [*launcher, str(int(signal.SIGKILL)), str(os.getpid()), "-", *program.words],
            cwd=program.folder,
            env=program.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        threading.Thread(target=self._collect, args=(loop,), daemon=True).start()

    async def wait(self) -> int:
        """Wait for the end and return the exit code; minus the signal's number where one killed it."""
        return await asyncio.shield(self._ended)

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process, which tells its own children."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the process and all that is left of its group; harmless when there is nothing left."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def lines(self) -> AsyncIterator[str]:
        """Yield what the process writes, line by line, until it and its children have closed their output."""
        output = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), self._process.stdout
        )
        rest = b""
        with closing(transport):
            while chunk := await output.read(_CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                # A process that never ends its line must not fill the memory.
                if len(rest) > _LONGEST_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    yield _text(line)
        if rest:
            yield _text(rest)

    def _collect(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._process.wait()
        # The loop is closed where nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended.set_result, code)


def how_it_ended(code: int) -> str:
    """Return an exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        # Most of the real-time signals have no name.
        return f"was ended by signal {-code}"


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
