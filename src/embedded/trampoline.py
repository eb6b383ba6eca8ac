"""Become a server: what has to happen between fork and exec, as a script of its own.

    python -I -S trampoline.py DEATH_SIGNAL LAUNCHER_PID UID:GID|- PROGRAM [ARGUMENT ...]

A preexec_fn would run Python in a forked child of a process with threads, which can deadlock.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Drop privileges, ask for a signal when the launcher dies, then execute the program."""
    death_signal, launcher, account, *command = sys.argv[1:]
    if account != "-":
        _become(*map(int, account.split(":")))
    # After the change of uid, which clears it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    # The launcher may have died before the signal was asked for.
    if os.getppid() != int(launcher):
        sys.exit("the launcher is gone")
    # A launcher that waits for its signals with sigwait blocks them, and the program would inherit that.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o077)
    os.execv(command[0], command)  # noqa: S606 - a shell is not wanted


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


if __name__ == "__main__":
    main()
