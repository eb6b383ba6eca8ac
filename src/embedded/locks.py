"""Two file locks per server, both flocks, which end with the processes that hold them.

The launcher's lock says that somebody is in charge. The server's lock is handed down to the server and its
children, so that it outlives a killed launcher or postmaster for as long as anything uses the data folder.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from embedded.errors import EmbeddedServerError

# Servers whose launcher died are on their way down; a checkpoint can take some seconds.
ORPHANS_MAY_TAKE_SECONDS = 20.0
# A launcher that was killed a moment ago has not let go yet.
_DYING_MAY_TAKE_SECONDS = 0.5
_KILLED_MAY_TAKE_SECONDS = 10.0
_POLL_SECONDS = 0.02


def lock_as_launcher(path: Path) -> TextIO:
    """Take charge of a server; raises EmbeddedServerError when another launcher has it."""
    file = _wait_for_lock(path, _DYING_MAY_TAKE_SECONDS)
    if file is None:
        holder = path.read_text().strip() or "unknown"
        raise EmbeddedServerError(f"already started by process {holder}, which holds {path}")
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def lock_for_server(path: Path) -> TextIO:
    """Take the lock of the data folder once no process of an earlier server is left, at most 30 s later.

    Call it with the launcher's lock held: whoever has this one is then an orphan. Orphans are given 20 s to
    end by themselves and then killed, which loses nothing that was committed. Raises EmbeddedServerError when
    they remain.
    """
    if (file := _wait_for_lock(path, ORPHANS_MAY_TAKE_SECONDS)) is not None:
        return file
    for pid in _holders(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if (file := _wait_for_lock(path, _KILLED_MAY_TAKE_SECONDS)) is not None:
        return file
    processes = list(_holders(path)) or "unknown"
    raise EmbeddedServerError(f"an earlier server still runs and holds {path}; processes: {processes}")


def _wait_for_lock(path: Path, seconds: float) -> TextIO | None:
    deadline = time.monotonic() + seconds
    while (file := _try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return file


def _try_lock(path: Path) -> TextIO | None:
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _holders(path: Path) -> Iterator[int]:
    """Yield the processes that have the file open, as far as /proc tells (Linux)."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            held = link.samefile(path)
        except OSError:
            continue
        if held and (pid := int(link.parts[2])) != os.getpid():
            yield pid
