import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded import EmbeddedServerError, EmbeddedValkey, locks, spawn
from tests.embedded.kinds import Kind, wait_until
from tests.embedded.launching import Launched, is_alive

Launch = Callable[..., Launched]

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="death signals are Linux's")


def test_a_second_start_on_the_same_home_is_refused_with_the_process_that_has_it(
    kind: Kind, home: Path, launch: Launch
) -> None:
    with kind.create(home) as server:
        with pytest.raises(EmbeddedServerError, match=f"already started by process {os.getpid()}"):
            kind.create(home).start()
        assert f"already started by process {os.getpid()}" in launch(kind.name, home).error
        kind.write(server.url, "undisturbed")


def test_a_home_is_free_again_after_a_stop(kind: Kind, home: Path, launch: Launch) -> None:
    first = kind.create(home)
    first.start()
    first.stop()
    launched = launch(kind.name, home)
    assert launched.url == first.url
    launched.finish()
    assert not is_alive(launched.pid)


@only_linux
def test_after_kill_9_of_the_launcher_its_server_ends_and_the_next_start_has_the_data(
    kind: Kind, home: Path, launch: Launch
) -> None:
    launched = launch(kind.name, home)
    kind.write(launched.url, "kept")
    launched.process.kill()
    wait_until(lambda: not is_alive(launched.pid))
    with kind.create(home) as server:
        assert server.url == launched.url
        assert kind.read(server.url) == "kept"


@only_linux
def test_kill_9_of_launcher_and_server_together_loses_nothing(kind: Kind, home: Path, launch: Launch) -> None:
    launched = launch(kind.name, home)
    kind.write(launched.url, "kept")
    os.kill(launched.pid, signal.SIGKILL)
    launched.process.kill()
    with kind.create(home) as server:
        assert kind.read(server.url) == "kept"


@only_linux
def test_an_orphan_that_does_not_end_by_itself_is_killed_before_the_next_start(
    kind: Kind, home: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ORPHANS_MAY_TAKE_SECONDS", 0.2)
    launched = launch(kind.name, home)
    kind.write(launched.url, "kept")
    os.kill(launched.pid, signal.SIGSTOP)
    launched.process.kill()
    with kind.create(home) as server:
        assert not is_alive(launched.pid)
        assert kind.read(server.url) == "kept"


def test_a_server_started_by_a_thread_outlives_the_thread(kind: Kind, home: Path) -> None:
    server = kind.create(home)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    # A death signal, if there were one, needs a moment to take effect.
    time.sleep(0.3)
    kind.write(server.url, "kept")
    assert server.running
    server.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(kind: Kind, home: Path, launch: Launch) -> None:
    launched = launch(kind.name, home)
    os.killpg(launched.process.pid, signal.SIGINT)
    assert launched.read_line() == "interrupted\n"
    kind.write(launched.url, "kept")
    assert is_alive(launched.pid)
    assert os.getsid(launched.pid) != os.getsid(launched.process.pid)


def test_a_start_that_is_interrupted_leaves_no_server_and_no_lock(
    kind: Kind, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def interrupt(_site: object, _access: object, pid: int) -> bool:
        pids.append(pid)
        raise KeyboardInterrupt

    server = kind.create(home)
    with monkeypatch.context() as patch:
        patch.setattr(server._program, "is_ready", interrupt)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert not is_alive(pids[0])
    with kind.create(home):
        pass


def test_signals_that_the_launcher_blocks_still_reach_the_server(home: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        # The thread that forks inherits the mask of the one that first needs it.
        spawn._keeper.cache_clear()
        with EmbeddedValkey(home) as server:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: not server.running)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        spawn._keeper.cache_clear()


@only_linux
def test_the_server_lock_is_held_by_the_server_itself(kind: Kind, home: Path) -> None:
    with kind.create(home) as server:
        assert server.pid in list(locks._holders(home / f"{kind.name}.lock"))
        wait_until(lambda: os.getpid() not in locks._holders(home / f"{kind.name}.lock"))
