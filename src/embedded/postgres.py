"""Postgres 18."""

import signal
import subprocess
from pathlib import Path

from embedded.access import Access
from embedded.accounts import account_for
from embedded.cluster import ADMIN, DATABASE, OWNER, Cluster, data_argument
from embedded.logfile import open_log
from embedded.ports import LOOPBACK
from embedded.server import EmbeddedServer, Site
from embedded.spawn import Command, spawn
from embedded.wheels import postgres_programs

# fsync and synchronous_commit stay on, their default: a receipt must survive a power cut.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # No Unix socket: its path may be 107 bytes long, and homes may be deeper.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    # A client that is gone, or stuck in a transaction, must not keep its locks.
    "client_connection_check_interval": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d %a ",
}
_STATISTICS = "pg_stat_statements"
_STATUS_LINE = 8


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres with a database `baton` that belongs to the role `baton`.

    Started by root it runs as `nobody`. Where that account cannot read the wheel, the programs are copied to
    /var/cache/baton.
    """

    def __init__(self, home: Path) -> None:
        """Name the home folder; nothing is created before `start`."""
        super().__init__(home, _Program())

    @property
    def url(self) -> str:
        """The URL of the role `baton`, no superuser; raises EmbeddedServerError when never started."""
        return self.known_access().url("postgresql", OWNER, DATABASE, user=OWNER)

    @property
    def admin_url(self) -> str:
        """The URL of the superuser, same database; raises EmbeddedServerError when never started."""
        return self.known_access().url("postgresql", ADMIN, DATABASE, user=ADMIN)


class _Program:
    title = "Postgres"
    roles = (ADMIN, OWNER)
    # Fast, then immediate shutdown; SIGTERM would wait for the clients to leave.
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

    def prepare(self, site: Site, access: Access) -> None:
        account = account_for(site.data)
        programs = postgres_programs(account)
        with open_log(site.log) as log:
            cluster = Cluster(folder=site.data, programs=programs, account=account, log=log, lock=site.lock)
            cluster.prepare(access.passwords)

    def launch(self, site: Site, access: Access) -> subprocess.Popen[bytes]:
        account = account_for(site.data)
        programs = postgres_programs(account)
        words = [str(programs / "postgres"), "-D", data_argument(account, site.data), "-p", str(access.port)]
        for name, value in (_SETTINGS | _preloaded(programs)).items():
            words += ["-c", f"{name}={value}"]
        with open_log(site.log) as log:
            command = Command(
                words=words,
                folder=site.data,
                log=log,
                lock=site.lock,
                account=account,
                death_signal=signal.SIGINT,
            )
            return spawn(command)

    def is_ready(self, site: Site, _access: Access, pid: int) -> bool:
        """Read postmaster.pid: a connection could be answered by a stranger on our port."""
        try:
            lines = (site.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and len(lines) >= _STATUS_LINE and lines[_STATUS_LINE - 1].strip() == "ready"


def _preloaded(programs: Path) -> dict[str, str]:
    found = any((programs.parent / "lib").rglob(f"{_STATISTICS}.*"))
    return {"shared_preload_libraries": _STATISTICS} if found else {}
