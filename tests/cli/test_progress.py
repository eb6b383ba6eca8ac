"""What `baton import` shows while it works."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.progress import Bars, Lines, Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, as a test sets it."""
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def _known(**members: Any) -> dict[str, Any]:
    return {"state": "receiving", "rows": 2_000, "queued": 1_500, "bytes_received": 50_000} | members


def test_a_pace_tells_the_rate_and_the_time_that_is_left(clock: list[float]) -> None:
    pace = Pace(100)
    clock[0] += 10

    assert pace.rate(600) == 50
    assert pace.left(600, 3_600) == ", 0:01:00 left"
    assert pace.left(600, None) == pace.left(100, 3_600) == ""


def test_lines_come_every_five_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.begin(0, 100_000)
    for second in range(11):
        lines.sent(5_000 * second)
        clock[0] += 1
    lines.note("A sentence.")

    assert capsys.readouterr().err.splitlines() == [
        "25,000 of 100,000 bytes sent, 5.0 kB/s, 0:00:15 left",
        "50,000 of 100,000 bytes sent, 5.0 kB/s, 0:00:10 left",
        "A sentence.",
    ]


def test_rows_are_told_of_as_many_as_the_file_will_have(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.begin(0, 100_000)
    for state, queued in (("receiving", 1_500), ("receiving", 1_000), ("running", 0)):
        lines.executed(_known(state=state, queued=queued))
        clock[0] += 10

    assert capsys.readouterr().err.splitlines() == [
        "1,000 of 4,000 rows done, 50/s, 0:01:00 left",
        "2,000 of 2,000 rows done, 75/s, 0:00:00 left",
    ]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_bars_show_rate_and_time_and_respect_no_color(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, no_color: str, *, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = io.StringIO()
    bars = Bars(Console(file=screen, force_terminal=True, width=100))
    with bars.drawing:
        bars.begin(0, 100_000_000)
        clock[0] += 1
        bars.sent(25_000_000)
        bars.executed(_known())
        bars.note("A [sentence].")
        bars.drawing.refresh()

    shown = screen.getvalue()
    assert "25%" in shown
    assert "25.0 MB/s, 0:00:03 left" in shown
    assert "A [sentence].\n" in shown
    assert ("\x1b[38;5" in shown) is coloured
