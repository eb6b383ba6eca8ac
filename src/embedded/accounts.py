"""The account that Postgres runs as: it refuses to be root."""

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import EmbeddedServerError

_NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A uid and gid to change to; only root can."""

    uid: int
    gid: int

    def may_enter(self, path: Path) -> bool:
        """Tell from the mode bits alone whether this account may enter (or execute) a path itself."""
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def account_for(folder: Path) -> Account | None:
    """Return the account to change to for a server that owns `folder`; None means: stay who we are.

    A folder that already belongs to an ordinary user keeps its owner; otherwise root becomes `nobody`.
    Raises EmbeddedServerError when root finds no `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and (status := folder.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    entry = _nobody()
    return Account(entry.pw_uid, entry.pw_gid)


def reaches(account: Account | None, path: Path) -> bool:
    """Tell whether the account may enter an existing path and every folder above it; not below /root."""
    real = path.resolve()
    return account is None or all(account.may_enter(part) for part in (real, *real.parents))


def give_to(account: Account | None, target: Path | int) -> None:
    """Hand a path or an open file to the account."""
    if account is not None:
        os.chown(target, account.uid, account.gid)


def named_user_prefix(account: Account | None) -> list[str]:
    """Return the words before initdb and `postgres --single`, which insist on a passwd entry for their uid.

    Empty when there is an entry. Otherwise they run in a user namespace where the uid is called `nobody`;
    their files still belong to the real uid. Raises EmbeddedServerError when that cannot be done here.
    """
    uid = os.geteuid() if account is None else account.uid
    try:
        pwd.getpwuid(uid)
    except KeyError:
        unshare, entry = shutil.which("unshare"), _nobody()
        if unshare is None:
            raise EmbeddedServerError(f"uid {uid} has no passwd entry, and there is no unshare") from None
        return [unshare, "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}", "--"]
    return []


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_NOBODY)
    except KeyError:
        raise EmbeddedServerError(f"there is no account {_NOBODY!r} for Postgres to run as") from None
