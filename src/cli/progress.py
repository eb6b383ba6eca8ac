"""What `baton import` shows on standard error while it works: bars on a terminal, else a line now and then."""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal

from cli.client import Json

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY = 5.0  # seconds


class Pace:
    """How fast a number grows from what it is now."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._since = time.monotonic()

    def rate(self, now: int) -> float:
        """Return the growth per second up to this number."""
        return (now - self._first) / max(time.monotonic() - self._since, 0.001)

    def left(self, now: int, total: int | None) -> str:
        """Return the time until the total is reached, in words; nothing where nobody knows."""
        rate = self.rate(now)
        if total is None or not rate:
            return ""
        return f", {timedelta(seconds=round((total - now) / rate))} left"


class Progress(ABC):
    """Told how far an import is, and shows it."""

    def __init__(self) -> None:
        self._size: int | None = None
        self._sending = Pace(0)
        self._executing: Pace | None = None

    def begin(self, offset: int, size: int | None) -> None:
        """Note that sending begins at a byte of so many; None where nobody knows how many."""
        self._size = size
        self._sending = Pace(offset)

    def sent(self, offset: int) -> None:
        """Show that the bytes up to this one are sent."""
        pace = f"{decimal(int(self._sending.rate(offset)))}/s{self._sending.left(offset, self._size)}"
        self._show("bytes sent", offset, self._size, pace)

    def executed(self, known: Json) -> None:
        """Show how many rows are done, of those that are there or will be."""
        done, total = known["rows"] - known["queued"], self._rows(known)
        self._executing = self._executing or Pace(done)
        self._show("rows done", done, total, f"{self._executing.rate(done):,.0f}/s{self._executing.left(done, total)}")

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a sentence."""

    @abstractmethod
    def _show(self, what: str, done: int, total: int | None, pace: str) -> None:
        """Show how much of one thing is done."""

    def _rows(self, known: Json) -> int | None:
        """Return how many rows the file has; while it is sent, as many as its first part lets expect."""
        rows: int = known["rows"]
        if known["state"] != "receiving":
            return rows
        return rows * self._size // known["bytes_received"] or None if self._size else None


class Lines(Progress):
    """Writes a line about each thing every five seconds: what a log is to hold."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = defaultdict(lambda: time.monotonic() + _LINE_EVERY)

    def note(self, text: str) -> None:
        """Write a line."""
        click.echo(text, err=True)

    def _show(self, what: str, done: int, total: int | None, pace: str) -> None:
        if time.monotonic() >= self._next[what]:
            self._next[what] = time.monotonic() + _LINE_EVERY
            self.note(f"{done:,}{'' if total is None else f' of {total:,}'} {what}, {pace}")


class Bars(Progress):
    """Draws a bar for each thing, on the terminal of a console."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Drawing

        super().__init__()
        columns = (
            TextColumn("{task.description:<13}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self.drawing = Drawing(*columns, console=console, transient=True)
        self._bars: dict[str, TaskID] = {}

    def note(self, text: str) -> None:
        """Write a line above the bars."""
        self.drawing.console.print(text, markup=False, highlight=False)

    def _show(self, what: str, done: int, total: int | None, pace: str) -> None:
        if what not in self._bars:
            self._bars[what] = self.drawing.add_task(what, total=None, pace="")
        self.drawing.update(self._bars[what], completed=done, total=total, pace=pace)


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show progress on standard error; without colour where NO_COLOR is set (no-color.org)."""
    if not sys.stderr.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        yield Lines()
        return
    from rich.console import Console

    bars = Bars(Console(stderr=True))
    with bars.drawing:
        yield bars
