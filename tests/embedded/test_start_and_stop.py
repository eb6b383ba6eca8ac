import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from embedded import EmbeddedServerError, access, ports, postgres, valkey
from tests.embedded.kinds import Kind, wait_until


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _listener(port: int = 0) -> socket.socket:
    stranger = socket.create_server(("127.0.0.1", port))
    stranger.listen()
    return stranger


def test_what_was_written_is_there_after_a_stop_and_a_start_at_the_same_url(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        kind.write(server.url, "kept")
        url = server.url
    with kind.create(home) as server:
        assert server.url == url
        assert kind.read(url) == "kept"


def test_after_kill_9_of_the_server_a_start_brings_back_data_and_url(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        kind.write(server.url, "kept")
        url, pid = server.url, server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not server.running)
        assert server.pid is None
        server.start()
        assert server.url == url
        assert server.pid != pid
        assert kind.read(url) == "kept"


def test_starting_twice_and_stopping_twice_changes_nothing(kind: Kind, home: Path) -> None:
    server = kind.create(home)
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert not server.running
    assert server.pid is None


def test_the_url_of_a_server_that_was_never_started_is_an_error(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="never started"):
        kind.create(tmp_path).url  # noqa: B018 - the access is what fails
    assert not list(tmp_path.iterdir())


def test_the_url_can_be_read_by_who_did_not_start_it(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        assert kind.create(home).url == server.url


def test_a_port_taken_between_two_runs_is_replaced_and_the_new_one_remembered(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        before = server.url
    with _listener(_port(before)), kind.create(home) as server:
        kind.write(server.url, "kept")
        after = server.url
    assert _port(after) != _port(before)
    assert after.replace(str(_port(after)), str(_port(before))) == before
    with kind.create(home) as server:
        assert server.url == after
        assert kind.read(after) == "kept"


def test_a_port_taken_after_it_was_chosen_is_replaced(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _listener() as stranger:
        taken = stranger.getsockname()[1]
        choices = iter([taken])
        monkeypatch.setattr(access, "choose_port", lambda: next(choices, None) or ports.choose_port())
        with kind.create(tmp_path) as server:
            assert _port(server.url) != taken
            kind.write(server.url, "kept")


def test_a_port_taken_while_the_object_lives_is_an_error_with_the_log_and_no_new_url(kind: Kind, home: Path) -> None:
    server = kind.create(home)
    server.start()
    url = server.url
    server.stop()
    with _listener(_port(url)), pytest.raises(EmbeddedServerError, match="Address already in use"):
        server.start()
    with server:
        assert server.url == url


def test_the_server_listens_on_loopback_only(kind: Kind, tmp_path: Path, home: Path) -> None:
    with kind.create(home) as server:
        port = f"{_port(server.url):04X}"
        sockets = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
        lines = [line.split() for path in sockets if path.exists() for line in path.read_text().splitlines()]
        addresses = {words[1] for words in lines if words[1].endswith(f":{port}") and words[3] == "0A"}
    assert addresses == {f"0100007F:{port}"}


def test_files_with_secrets_are_readable_by_their_owner_only(kind: Kind, home: Path) -> None:
    with kind.create(home):
        files = [path for path in home.iterdir() if path.is_file()]
        assert home / f"{kind.name}.json" in files
        for path in (*files, home / "log" / f"{kind.name}.log"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE((home / kind.name).stat().st_mode) == 0o700


def test_wiping_the_data_folder_between_runs_empties_it_and_keeps_the_url(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        kind.write(server.url, "old")
        url = server.url
    subprocess.run(["rm", "-rf", home / kind.name], check=True)
    with kind.create(home) as server:
        assert server.url == url
        kind.write(url, "new")
        assert kind.read(url) == "new"


def test_wiping_the_data_folder_under_a_living_object_keeps_the_url(kind: Kind, own_home: Path) -> None:
    server = kind.create(own_home)
    server.start()
    url = server.url
    server.stop()
    subprocess.run(["rm", "-rf", own_home], check=True)
    with server:
        assert server.url == url
        kind.write(url, "new")
    assert kind.create(own_home).url == url


def test_losing_the_password_file_gives_new_passwords_to_the_same_data(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        kind.write(server.url, "kept")
        before = server.url
    (home / f"{kind.name}.json").write_text("")
    with kind.create(home) as server:
        assert server.url != before
        assert kind.read(server.url) == "kept"


def test_a_home_with_spaces_and_a_path_longer_than_a_socket_address_works(kind: Kind, tmp_path: Path) -> None:
    home = tmp_path / "my 'quoted' checkout" / ("long " * 40).strip() / ".baton"
    with kind.create(home) as server:
        kind.write(server.url, "kept")
        assert kind.read(server.url) == "kept"


def test_a_server_that_hangs_is_stopped_by_force(kind: Kind, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = postgres._Program if kind.name == "postgres" else valkey._Program
    brief = tuple((number, 0.1) for number, _ in program.stop_signals[:-1])
    monkeypatch.setattr(program, "stop_signals", (*brief, program.stop_signals[-1]))
    with kind.create(home) as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        server.stop()
        assert not server.running
        server.start()
        kind.write(server.url, "kept")


def test_a_server_that_cannot_start_is_an_error_with_the_end_of_its_own_log(kind: Kind, own_home: Path) -> None:
    with kind.create(own_home) as server:
        log = server.log
    with log.open("a") as file:
        file.write("said by an earlier run\n")
    broken = "postgres/postgresql.conf" if kind.name == "postgres" else "valkey/appendonlydir/appendonly.aof.manifest"
    (own_home / broken).write_text("nonsense nonsense\n")
    with pytest.raises(EmbeddedServerError) as failure:
        kind.create(own_home).start()
    message = str(failure.value)
    assert "before it was ready" in message
    assert str(log) in message
    assert "nonsense" in message
    assert "said by an earlier run" not in message


def test_a_home_that_cannot_be_made_is_an_error_of_this_package(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="Not a directory"):
        kind.create(tmp_path / "file" / "home").start()


def test_a_log_that_has_grown_large_is_put_aside_at_the_next_start(kind: Kind, home: Path) -> None:
    log = home / "log" / f"{kind.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        file.truncate(11 * 1024 * 1024)
    with kind.create(home):
        assert log.with_name(f"{log.name}.1").stat().st_size == 11 * 1024 * 1024
        assert log.stat().st_size < 1024 * 1024
