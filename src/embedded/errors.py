"""The one error of this package."""


class EmbeddedServerError(RuntimeError):
    """Says that a server could not be started, and why, with the last lines of its log where it wrote any."""
