"""How to reach a server: its port and passwords, remembered beside its data folder."""

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import LOOPBACK, choose_port

_PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class Access:
    """A loopback port and the password of each role of one server."""

    port: int
    passwords: dict[str, str]

    def url(self, scheme: str, role: str, path: str, *, user: str) -> str:
        """Build the URL of a role; `user` may be empty. Passwords are URL-safe as they are."""
        return f"{scheme}://{user}:{self.passwords[role]}@{LOOPBACK}:{self.port}/{path}"


def generate_access(roles: Sequence[str]) -> Access:
    """Choose a free port and make a password of 192 random bits for each role."""
    return Access(choose_port(), {role: secrets.token_urlsafe(_PASSWORD_BYTES) for role in roles})


def load_access(path: Path, roles: Sequence[str]) -> Access | None:
    """Read what `save_access` wrote; None when the file is absent, damaged or lacks a role."""
    try:
        saved = json.loads(path.read_text())
        return Access(int(saved["port"]), {role: str(saved["passwords"][role]) for role in roles})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def save_access(path: Path, access: Access) -> None:
    """Replace the file in one step, readable by its owner only."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"port": access.port, "passwords": access.passwords}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
