"""What `baton up` shows: the lines of each process behind its name, in a colour of its own."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

import click

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
_OWN_NAME = "baton"
# Of the names that a stack has with more than one worker, so that lines align before they are known.
_LEAST_WIDTH = len("worker.1")


class Terminal:
    """Writes to standard error; coloured where that is a terminal and NO_COLOR is not set (no-color.org)."""

    def __init__(self, names: Iterable[str] = (), stream: TextIO | None = None) -> None:
        """Take the names of the processes, to align their lines."""
        self._stream = stream or sys.stderr
        self._coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")
        names = list(names)
        self._width = max(_LEAST_WIDTH, *(len(name) for name in (*names, _OWN_NAME)))
        self._colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}

    def line(self, name: str, text: str) -> None:
        """Show a line that the process of this name wrote, unless it is blank."""
        if not text.strip():
            return
        prefix = f"{name:<{self._width}} | "
        self._write((click.style(prefix, fg=self._colours.get(name)) if self._coloured else prefix) + text)

    def notice(self, text: str) -> None:
        """Show a line, or several, of Baton's own."""
        prefix = f"{_OWN_NAME:<{self._width}} | "
        prefix = click.style(prefix, bold=True) if self._coloured else prefix
        self._write("\n".join(prefix + line for line in text.splitlines()))

    def _write(self, text: str) -> None:
        # A terminal that was closed must not keep the stack from being stopped in order.
        with suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()
