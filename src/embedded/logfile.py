"""A server's log file."""

import os
from collections import deque
from pathlib import Path
from typing import BinaryIO

_ROTATE_AT_BYTES = 10 * 1024 * 1024
_TAIL_LINES = 20


def rotate_log(path: Path) -> int:
    """Move a log of over 10 MiB to `<name>.1`; return the byte at which the next line will be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    if size <= _ROTATE_AT_BYTES:
        return size
    path.replace(path.with_name(f"{path.name}.1"))
    return 0


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, readable by its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def tail(path: Path, start: int) -> str:
    """Return at most the last 20 lines written after byte `start`; empty when there is no log."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return b"".join(deque(file, _TAIL_LINES)).decode(errors="replace").rstrip()
