import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded import EmbeddedPostgres, EmbeddedValkey
from tests.embedded.kinds import KINDS, Kind
from tests.embedded.launching import Launched, Setup, is_alive


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen = request.param
    assert isinstance(chosen, Kind)
    return chosen


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose path has a space, for tests that leave it fit for the next: making one takes a second."""
    folder = tmp_path_factory.mktemp("shared") / "a home"
    with EmbeddedPostgres(folder), EmbeddedValkey(folder):
        pass
    return folder


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the shared home, for tests that spoil it."""
    target = tmp_path / "a home"
    subprocess.run(["cp", "-a", home, target], check=True)
    yield target
    # pytest would keep it, for three runs.
    shutil.rmtree(target)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def launch() -> Iterator[Callable[..., Launched]]:
    """Start a launcher as a process of its own, which ends after the test."""
    started: list[Launched] = []

    def start(name: str, home: Path, setup: Setup | None = None) -> Launched:
        launched = Launched(setup or Setup(), name, home)
        started.append(launched)
        return launched

    yield start
    for launched in started:
        launched.finish()
        if is_alive(launched.pid):
            os.kill(launched.pid, signal.SIGKILL)
