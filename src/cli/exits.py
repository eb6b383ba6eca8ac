"""How a command fails: one sentence on standard error and an exit code, never a traceback.

0 done, 1 an error, 2 wrong usage (Click's own), 3 some rows of a file were not taken, 4 not allowed, 75 try again later
(EX_TEMPFAIL of sysexits.h), 130 interrupted (128 + SIGINT, as shells count).
"""

import click


class Failure(click.ClickException):
    """The command could not do what it was asked to."""

    exit_code = 1


class RowsLeft(Failure):
    """The command did what it was asked to, but for some rows."""

    exit_code = 3


class NotAllowed(Failure):
    """Whoever asks did not prove who they are."""

    exit_code = 4


class TryLater(Failure):
    """Something that the command needs is away for now."""

    exit_code = 75


class Interrupted(Failure):
    """Whoever asked does not want to wait any longer."""

    exit_code = 130
