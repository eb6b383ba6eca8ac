import io

import pytest

from cli.terminal import Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_stand_behind_the_names_of_their_processes_aligned() -> None:
    stream = io.StringIO()
    terminal = Terminal(["web", "worker.10"], stream)
    terminal.line("web", "hello")
    terminal.line("worker.10", "hi")
    terminal.line("web", "  ")
    terminal.notice("one\ntwo")
    assert stream.getvalue() == "web       | hello\nworker.10 | hi\nbaton     | one\nbaton     | two\n"


def test_a_terminal_is_coloured_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        screen = Screen()
        Terminal(["web"], screen).line("web", "hello")
        assert ("\x1b[" in screen.getvalue()) is coloured


def test_a_terminal_that_is_gone_disturbs_nobody() -> None:
    stream = io.StringIO()
    terminal = Terminal(["web"], stream)
    stream.close()
    terminal.line("web", "hello")
    terminal.notice("stopping")
