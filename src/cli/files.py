"""Files of the home folder that hold secrets or say who runs here."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.exits import Failure

_OWNER_ONLY = 0o600


def write_secret(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it, from its first byte on."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    """Write a dotenv file; values are quoted, so that they may contain any character but a line break."""
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in variables.items()}
    write_secret(path, "".join(f"{name}='{value}'\n" for name, value in quoted.items()))


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home folder, which is made when it is not there; raises Failure where another `baton up` has it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(os.open(home / "up.lock", os.O_RDWR | os.O_CREAT, _OWNER_ONLY), "r+")
    except OSError as error:
        raise Failure(f"The home folder {home} cannot be used: {error.strerror}.") from None
    with lock:
        try:
            # Held by this process alone: files that Python opens are not inherited.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read().strip() or "unknown"
            raise Failure(
                f"Baton runs already with the home folder {home}, as process {holder}."
                f" Stop it with Ctrl-C where it runs, or with `kill {holder}`."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
