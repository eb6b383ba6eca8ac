"""How a command fails: one sentence on standard error and an exit code, never a traceback.

0 done, 1 an error, 2 wrong usage (Click's own), 4 not allowed, 75 try again later (EX_TEMPFAIL of sysexits.h).
"""

import click


class Failure(click.ClickException):
    """The command could not do what it was asked to."""

    exit_code = 1


class NotAllowed(Failure):
    """Whoever asks did not prove who they are."""

    exit_code = 4


class TryLater(Failure):
    """Something that the command needs is away for now."""

    exit_code = 75
