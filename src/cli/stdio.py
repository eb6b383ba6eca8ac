"""`baton mcp`: MCP on standard input and output, for hosts that start their servers themselves."""

import asyncio
import os
import signal
import sys
import threading

import click

from cli.bridge import Bridge
from cli.exits import NotAllowed
from cli.stack import running_url

_LINES_AHEAD = 100


@click.command()
def mcp() -> None:
    """Serve MCP on standard input and output.

    For the configuration of an agent's host. It speaks to the running Baton (BATON_URL, by default the one of
    this checkout) with the token in BATON_TOKEN, and ends with its input.
    """
    token = os.environ.get("BATON_TOKEN", "").strip()
    if not token:
        raise NotAllowed(
            "BATON_TOKEN is not set. Put an access token there; `baton token create` makes one,"
            " and `baton up` prints one that works."
        )
    if not token.isascii() or not token.isprintable():
        raise NotAllowed("BATON_TOKEN is not a token: it contains characters that no token has.")
    # Ends at once: nothing is kept here that would have to be put away.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(running_url(), token))


async def _serve(url: str, token: str) -> None:
    bridge = Bridge(url, token, _Wire().write)
    lines: asyncio.Queue[bytes] = asyncio.Queue(_LINES_AHEAD)
    # Reading blocks, and a thread that is a daemon does not keep the process from ending.
    threading.Thread(target=_read, args=(lines, asyncio.get_running_loop()), daemon=True).start()
    while line := await lines.get():
        if line.strip():
            bridge.take(line)
    await bridge.finish()


def _read(lines: "asyncio.Queue[bytes]", loop: asyncio.AbstractEventLoop) -> None:
    """Put every line into the queue, and at the end an empty one."""
    # Not sys.stdin, whose lock the interpreter would wait for at its end.
    with open(0, "rb", closefd=False) as stdin:
        for line in stdin:
            asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
    asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()


class _Wire:
    """Standard output, for messages only: whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def write(self, line: bytes) -> None:
        """Write a line; where the host is gone, there is nobody to go on for."""
        try:
            self._output.write(line)
            self._output.flush()
        except BrokenPipeError:
            os._exit(0)
