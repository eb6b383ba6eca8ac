import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from embedded import EmbeddedPostgres, EmbeddedServerError, wheels
from tests.embedded.kinds import Kind
from tests.embedded.launching import Launched, copy_wheels, is_alive, setup_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try other accounts")

_NAMELESS_UID = 23456


def _data_directory(server: EmbeddedPostgres) -> str:
    with psycopg.connect(server.admin_url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return str(row[0])


def test_started_by_root_postgres_runs_as_nobody(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
    uid = pwd.getpwnam("nobody").pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
    assert "Groups:\t \n" in status


def test_a_home_below_a_folder_closed_to_nobody_works(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "home") as server:
        assert _data_directory(server) == "/proc/self/cwd"
    assert (closed / "home" / "postgres" / "PG_VERSION").exists()


def test_a_home_that_nobody_can_enter_is_used_by_its_name(public_folder: Path) -> None:
    with EmbeddedPostgres(public_folder / "home") as server:
        assert _data_directory(server) == str(server.data)


def test_a_wheel_closed_to_nobody_is_copied_once_with_its_libraries(
    own_home: Path, tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    copy_wheels(packages)
    packages.chmod(0o700)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(wheels, "COPY_PLACES", (Path("/proc/nowhere"), public_folder / "copy"))
    inodes = set()
    for _ in range(2):
        with EmbeddedPostgres(own_home) as server:
            program = Path(f"/proc/{server.pid}/exe").resolve()
        assert program.is_relative_to(public_folder / "copy")
        inodes.add(program.stat().st_ino)
    assert len(inodes) == 1
    # initdb is the program that needs the libraries.
    shutil.rmtree(own_home)
    with EmbeddedPostgres(own_home) as server:
        assert server.running


def test_a_copy_in_a_folder_that_others_may_write_to_is_not_trusted(
    home: Path, tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    copy_wheels(packages)
    place = public_folder / "copy"
    place.mkdir()
    os.chown(place, _NAMELESS_UID, _NAMELESS_UID)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(wheels, "COPY_PLACES", (place,))
    with pytest.raises(EmbeddedServerError, match="cannot read"):
        EmbeddedPostgres(home).start()


@pytest.mark.parametrize("uid", [pwd.getpwnam("daemon").pw_uid, _NAMELESS_UID], ids=["named", "nameless"])
def test_an_ordinary_user_can_start_it_twice_even_without_a_passwd_entry(
    kind: Kind, uid: int, public_folder: Path, launch: Callable[..., Launched]
) -> None:
    setup = setup_for(uid, public_folder)
    if setup is None:
        pytest.skip("no Python here that other accounts can run")
    if uid == _NAMELESS_UID and subprocess.run(["unshare", "--user", "true"], user=uid, check=False).returncode:
        pytest.skip("no user namespaces for ordinary users here")
    theirs = public_folder / "their folder"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, uid, uid)
    launched = launch(kind.name, theirs / "home", setup)
    assert launched.error == ""
    kind.write(launched.url, "kept")
    launched.process.kill()
    launched = launch(kind.name, theirs / "home", setup)
    assert launched.error == ""
    assert kind.read(launched.url) == "kept"
    assert {path.stat().st_uid for path in theirs.rglob("*")} == {uid}
    launched.finish()
    assert not is_alive(launched.pid)


def test_root_takes_over_a_home_of_an_ordinary_user_without_changing_its_owner(
    own_home: Path,
) -> None:
    subprocess.run(["chown", "-R", "daemon", own_home / "postgres"], check=True)
    with EmbeddedPostgres(own_home) as server, psycopg.connect(server.url) as connection:
        connection.execute("SELECT 1")
    assert (own_home / "postgres").stat().st_uid == pwd.getpwnam("daemon").pw_uid
