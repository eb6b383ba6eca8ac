"""The data folder of Postgres: made, given its roles, and cleaned up after a crash."""

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from embedded.accounts import Account, give_to, named_user_prefix, reaches
from embedded.errors import EmbeddedServerError
from embedded.spawn import Command, run

ADMIN = "postgres"
OWNER = "baton"
DATABASE = "baton"

_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")
_LOGIN = (f"--username={ADMIN}", "--auth=scram-sha-256", "--pwfile=/dev/stdin")
_INITDB_SECONDS = 120.0
# Includes recovery, when passwords are mended after a crash.
_SQL_SECONDS = 300.0
_FINGERPRINT = "baton.fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A data folder and what it takes to work in it while no server runs there, which the lock makes sure of.

    Methods raise EmbeddedServerError when a program fails and TimeoutExpired when it takes minutes.
    """

    folder: Path
    programs: Path
    account: Account | None
    log: BinaryIO
    lock: int

    def prepare(self, passwords: dict[str, str]) -> None:
        """Make the cluster if there is none, and see that its roles have these passwords."""
        if not (self.folder / "PG_VERSION").exists():
            self._create(passwords)
            return
        remove_stale_pid_file(self.folder)
        if _read_fingerprint(self.folder) != _fingerprint(passwords):
            # The file with the passwords was lost and made anew.
            self._run_sql(self.folder, _password_statements(passwords))
            self._write_fingerprint(self.folder, passwords)

    def _create(self, passwords: dict[str, str]) -> None:
        """Build the cluster aside and rename it, so that a half-made one is never taken for a whole."""
        if self.folder.exists() and any(self.folder.iterdir()):
            raise EmbeddedServerError(f"there are files but no cluster in {self.folder}: move them away")
        draft = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        give_to(self.account, draft)
        initdb = ("initdb", "-D", data_argument(self.account, draft), *_LOGIN, *_LOCALE)
        self._run(draft, initdb, f"{passwords[ADMIN]}\n", _INITDB_SECONDS)
        roles = f"CREATE ROLE {OWNER} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {OWNER};\n"
        self._run_sql(draft, roles + _password_statements(passwords))
        self._write_fingerprint(draft, passwords)
        draft.replace(self.folder)
        _sync(self.folder.parent)

    def _run_sql(self, folder: Path, statements: str) -> None:
        """Run statements, one a line, as superuser without a server; the first to fail is the last."""
        settings = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
        words = ("postgres", "--single", "-D", data_argument(self.account, folder), *settings, ADMIN)
        self._run(folder, words, statements, _SQL_SECONDS)

    def _run(self, folder: Path, words: tuple[str, ...], said: str, seconds: float) -> None:
        # An unnamed file, not a pipe: initdb opens /dev/stdin anew, which the account must be allowed to.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(said.encode())
            stdin.seek(0)
            give_to(self.account, stdin.fileno())
            command = Command(
                words=[*named_user_prefix(self.account), str(self.programs / words[0]), *words[1:]],
                folder=folder,
                log=self.log,
                lock=self.lock,
                account=self.account,
                stdin=stdin,
            )
            status = run(command, seconds)
        if status != 0:
            raise EmbeddedServerError(f"{words[0]} failed with status {status}")

    def _write_fingerprint(self, folder: Path, passwords: dict[str, str]) -> None:
        path = folder / _FINGERPRINT
        path.write_text(_fingerprint(passwords))
        give_to(self.account, path)


def data_argument(account: Account | None, folder: Path) -> str:
    """Return the word after -D, for a process whose working folder is this folder.

    Below a folder that the account may not enter, such as /root, the path is of no use to it. The kernel's
    link to its own working folder is, for it entered that before it changed to the account.
    """
    return str(folder) if reaches(account, folder) else "/proc/self/cwd"


def remove_stale_pid_file(folder: Path) -> None:
    """Remove postmaster.pid when its pid now belongs to a stranger or a zombie, where Postgres gives up.

    Raises EmbeddedServerError when a Postgres that was not started by a launcher works in the folder.
    """
    pid_file = folder / "postmaster.pid"
    if sys.platform != "linux" or not pid_file.exists():
        return
    try:
        # Single-user Postgres writes its pid negated.
        pid = abs(int(pid_file.read_text().split("\n", 1)[0]))
        if Path(f"/proc/{pid}/cwd").samefile(folder):
            raise EmbeddedServerError(f"a Postgres started by other means (process {pid}) uses {folder}")
    except PermissionError:
        # Another user's process, which Postgres does not mind.
        return
    except (FileNotFoundError, ValueError):
        pass
    pid_file.unlink()


def _password_statements(passwords: dict[str, str]) -> str:
    return "".join(f"ALTER ROLE {role} PASSWORD '{password}';\n" for role, password in passwords.items())


def _fingerprint(passwords: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(passwords.items())).encode()).hexdigest()


def _read_fingerprint(folder: Path) -> str | None:
    path = folder / _FINGERPRINT
    return path.read_text() if path.exists() else None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
