"""How long a command keeps trying what may work in a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

from cli.client import NotNow
from cli.exits import TryLater

T = TypeVar("T")

_TRIES = 10
_TRIES_TO_REACH = 3  # of an API that never answered: nobody is there
_LONGEST_PAUSE = 10.0
_LONGEST_WAIT = 60.0  # that an answer may ask for


class Patience:
    """Tries again after pauses that double up to ten seconds: about a minute, which outlasts a restart."""

    def __init__(self, note: Callable[[str], None], first_pause: float = 0.5) -> None:
        """Take whom to tell, and the first pause in seconds."""
        self._note = note
        self._first_pause = first_pause
        self._failures = 0
        self._answered = False

    def reward(self) -> None:
        """Begin to count anew, since something got on."""
        self._failures = 0

    def keep_trying(self, work: Callable[[], T]) -> T:
        """Return what the work gives in the end; raises TryLater where that never comes, or what the work raises."""
        while True:
            try:
                result = work()
            except NotNow as error:
                self._pause(error)
            else:
                self._answered = True
                self.reward()
                return result

    def _pause(self, error: NotNow) -> None:
        self._failures += 1
        self._answered = self._answered or error.answered
        tries = _TRIES if self._answered else _TRIES_TO_REACH
        if self._failures >= tries or error.after > _LONGEST_WAIT:
            raise TryLater(f"{error.reason}. Try again later.") from None
        pause = max(error.after, min(self._first_pause * 2 ** (self._failures - 1), _LONGEST_PAUSE))
        self._note(f"{error.reason}. Trying again in {pause:g} s.")
        time.sleep(pause)
