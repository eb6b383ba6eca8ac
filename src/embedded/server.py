"""What both servers share: who runs them, on which port, from start to stop."""

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from embedded.access import Access, generate_access, load_access, save_access
from embedded.errors import EmbeddedServerError
from embedded.locks import lock_as_launcher, lock_for_server
from embedded.logfile import rotate_log, tail
from embedded.ports import is_free

# Long, because starting includes recovery after a crash.
_START_SECONDS = 120.0
_POLL_SECONDS = 0.01
_PORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """Where a program works: its data folder, its log, and the lock that every process there inherits."""

    data: Path
    log: Path
    lock: int


class Program(Protocol):
    """What sets one server apart from the other. Its methods raise OSError or EmbeddedServerError."""

    @property
    def title(self) -> str:
        """Its name for people; in lower case that of its files."""

    @property
    def roles(self) -> Sequence[str]:
        """Who has a password."""

    @property
    def stop_signals(self) -> Sequence[tuple[signal.Signals, float]]:
        """Signals from gentle to final, each with the seconds that it is given."""

    def prepare(self, site: Site, access: Access) -> None:
        """Make the data folder ready for a start."""

    def launch(self, site: Site, access: Access) -> subprocess.Popen[bytes]:
        """Start the process."""

    def is_ready(self, site: Site, access: Access, pid: int) -> bool:
        """Tell whether this very process accepts connections."""


class EmbeddedServer:
    """One server process with its data folder, port and passwords, all under a home folder.

    Not for several threads at once, but `running`, `pid` and the URLs may be read from any.
    """

    def __init__(self, home: Path, program: Program) -> None:
        """Name the home folder; nothing is created before `start`."""
        name = program.title.lower()
        self.home = home.absolute()
        self.data = self.home / name
        self.log = self.home / "log" / f"{name}.log"
        self._program = program
        self._access_file = self.home / f"{name}.json"
        self._server_lock = self.home / f"{name}.lock"
        self._launcher_lock = self.home / f"{name}.launcher.lock"
        self._access: Access | None = None
        self._in_charge: TextIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start: int | None = None

    @property
    def running(self) -> bool:
        """Whether the server process that this object started is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the server and return once it accepts connections; do nothing when it runs.

        May be called again after the process died; the URL then stays the same. Raises EmbeddedServerError
        with what failed and the end of the server's log, and when another launcher has this home.
        """
        if self.running:
            return
        self._log_start = None
        try:
            self._start()
        except (EmbeddedServerError, OSError, subprocess.TimeoutExpired) as error:
            self.stop()
            raise EmbeddedServerError(self._explain(error)) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server in good order, by force if it takes too long; do nothing when it does not run."""
        try:
            if self._process is not None:
                self._end(self._process)
                self._process = None
        finally:
            if self._in_charge is not None:
                self._in_charge.close()
                self._in_charge = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def known_access(self) -> Access:
        """Return port and passwords, of an earlier run if need be; EmbeddedServerError if there was none."""
        access = self._access or load_access(self._access_file, self._program.roles)
        if access is None:
            raise EmbeddedServerError(f"{self._program.title} in {self.home} was never started")
        return access

    def _start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._in_charge = self._in_charge or lock_as_launcher(self._launcher_lock)
        with lock_for_server(self._server_lock) as lock:
            self._log_start = rotate_log(self.log)
            self._start_on_a_port(Site(self.data, self.log, lock.fileno()))

    def _start_on_a_port(self, site: Site) -> None:
        """Keep this object's port; else take the remembered one; else choose, again if somebody is quicker.

        Other processes hold our URL while this object lives, so it does not change after the first start.
        """
        if self._access is not None:
            # The home may have been wiped since.
            save_access(self._access_file, self._access)
            self._start_with(site, self._access)
            return
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            access = self._choose_access()
            try:
                self._start_with(site, access)
            except EmbeddedServerError:
                if attempt == _PORT_ATTEMPTS or self.running or is_free(access.port):
                    raise
            else:
                self._access = access
                return

    def _choose_access(self) -> Access:
        access = load_access(self._access_file, self._program.roles)
        if access is None or not is_free(access.port):
            fresh = generate_access(self._program.roles)
            access = fresh if access is None else Access(fresh.port, access.passwords)
            save_access(self._access_file, access)
        return access

    def _start_with(self, site: Site, access: Access) -> None:
        self._program.prepare(site, access)
        self._process = process = self._program.launch(site, access)
        deadline = time.monotonic() + _START_SECONDS
        while not self._program.is_ready(site, access, process.pid):
            if process.poll() is not None:
                raise EmbeddedServerError(f"ended with status {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"was not ready after {_START_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def _explain(self, error: Exception) -> str:
        said = tail(self.log, self._log_start) if self._log_start is not None else ""
        end = f"\nThe end of {self.log}:\n{said}" if said else ""
        return f"{self._program.title} in {self.home}: {error}{end}"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for number, seconds in self._program.stop_signals:
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return
