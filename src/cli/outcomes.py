"""What becomes of an import whose file is sent: its rejects, its end, and what a person is told of it."""

import time
from pathlib import Path

from cli.client import Client, Json
from cli.exits import Failure, RowsLeft
from cli.patience import Patience
from cli.progress import Progress

_COUNTS = ("rows", "succeeded", "failed", "rejected", "replayed", "queued", "canceled")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two looks
_STANDSTILL = 30.0  # seconds


def save_rejects(client: Client, patience: Patience, known: Json, file: Path) -> None:
    """Write the rows that are not acceptable into a file; one that is there, and may be half mended, becomes FILE~.

    Raises:
        TryLater: they cannot be had now.
        Failure: the file cannot be written.

    """

    def download() -> None:
        with client.stream("GET", f"/v1/imports/{known['id']}/rejects") as answer, file.open("wb") as rejects:
            for piece in answer.iter_bytes():
                rejects.write(piece)

    try:
        if file.is_file():
            file.replace(f"{file}~")
        patience.keep_trying(download)
    except OSError as error:
        raise Failure(
            f"The rejects cannot be written to {file}: {error.strerror}. Name another file: --rejects PATH."
        ) from None


def wait_until_over(client: Client, patience: Patience, progress: Progress, known: Json) -> Json:
    """Return an import once all of its rows are executed or withdrawn; raises TryLater."""
    path, pause, moved_at = f"/v1/imports/{known['id']}", _FIRST_PAUSE, time.monotonic()
    while known["finished_at"] is None:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        before = known["queued"]
        known = patience.keep_trying(lambda: client.call("GET", path))
        progress.executed(known)
        if known["queued"] != before:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > _STANDSTILL:
            progress.note(f"No row was executed for {_STANDSTILL:g} s. Does a worker run? `baton doctor` looks.")
            moved_at = time.monotonic()
    return known


def counts(known: Json) -> str:
    """Return an import as lines of a name and a value."""
    lines = {"import": known["id"], "state": known["state"]} | {name: f"{known[name]:,}" for name in _COUNTS}
    return "\n".join(f"{name:<10}{value}" for name, value in lines.items())


def judge(known: Json, rejects: Path | None) -> None:
    """Return if all went well.

    Raises:
        Failure: the import did not come to its end.
        RowsLeft: some rows are not taken, or were executed in vain.

    """
    if known["state"] == "canceled":
        raise Failure(f"{known['id']} was canceled.")
    if known["state"] == "failed":
        raise Failure(f"{known['id']} failed: {known['error']}")
    told = []
    if known["rejected"]:
        told.append(f"{known['rejected']:,} rejected: mend them in {rejects} and import that file")
    if known["failed"]:
        told.append(f"{known['failed']:,} failed: the audit trail says why, at /v1/audit-events?outcome=failed")
    if told:
        raise RowsLeft(f"Rows are left. {'. '.join(told)}.")
