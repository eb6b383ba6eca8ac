import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import EmbeddedPostgres, EmbeddedServerError
from embedded.cluster import remove_stale_pid_file
from tests.embedded.kinds import wait_until

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def stranger(home: Path) -> Iterator[int]:
    """The pid of a process that has nothing to do with Postgres but runs as its account."""
    owner = (home / "postgres").stat().st_uid
    uid = owner if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], cwd="/", user=uid, start_new_session=True) as process:
        yield process.pid
        process.kill()


def _kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.running)


@only_linux
def test_a_stale_pid_file_whose_pid_now_belongs_to_a_stranger_does_not_hinder(home: Path, stranger: int) -> None:
    with EmbeddedPostgres(home) as server:
        _kill(server)
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split("\n")[0], str(stranger), 1))
        server.start()
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT 1")


@only_linux
def test_a_stale_pid_file_of_a_zombie_does_not_hinder(home: Path) -> None:
    with subprocess.Popen(["true"], start_new_session=True) as zombie:
        wait_until(lambda: " Z " in Path(f"/proc/{zombie.pid}/stat").read_text())
        (home / "postgres" / "postmaster.pid").write_text(f"{zombie.pid}\n")
        with EmbeddedPostgres(home) as server:
            assert server.running


@only_linux
def test_a_pid_file_of_a_postgres_started_by_other_means_is_respected(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], cwd=tmp_path, start_new_session=True) as process:
        pid_file = tmp_path / "postmaster.pid"
        pid_file.write_text(f"{process.pid}\n")
        with pytest.raises(EmbeddedServerError, match=f"process {process.pid}"):
            remove_stale_pid_file(tmp_path)
        assert pid_file.exists()
        process.kill()


def test_a_half_finished_initdb_is_thrown_away(tmp_path: Path) -> None:
    half = tmp_path / "postgres.new"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server, psycopg.connect(server.url) as connection:
        connection.execute("SELECT 1")
    assert not half.exists()


def test_files_that_are_no_cluster_are_neither_used_nor_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "postgres" / "precious"
    precious.parent.mkdir()
    precious.write_text("precious")
    with pytest.raises(EmbeddedServerError, match="no cluster"):
        EmbeddedPostgres(tmp_path).start()
    assert precious.read_text() == "precious"


def test_passwords_are_mended_even_when_the_server_had_crashed(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        _kill(server)
    (home / "postgres.json").unlink()
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url) as connection:
        connection.execute("SELECT id FROM kept")


def test_variables_of_postgres_in_the_environment_change_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PGDATA", "/nowhere")
        patch.setenv("PGPORT", "1")
        patch.setenv("LC_ALL", "xx_XX.none")
        server = EmbeddedPostgres(home)
        server.start()
    with server, psycopg.connect(server.url) as connection:
        connection.execute("SELECT 1")
