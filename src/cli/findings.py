"""What `baton doctor` finds: one line about each thing it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "hint", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one thing; `advice` says what to do about it."""

    subject: str
    state: State
    detail: str
    advice: str = ""


def ok(subject: str, detail: str) -> Finding:
    """Report that it is as it should be."""
    return Finding(subject, "ok", detail)


def hint(subject: str, detail: str, advice: str) -> Finding:
    """Report what may be intended."""
    return Finding(subject, "hint", detail, advice)


def problem(subject: str, detail: str, advice: str) -> Finding:
    """Report what keeps Baton from working."""
    return Finding(subject, "problem", detail, advice)
