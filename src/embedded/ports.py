"""Free TCP ports on the loopback interface."""

import random
import socket

from embedded.errors import EmbeddedServerError

LOOPBACK = "127.0.0.1"

# Below the ports that kernels give to outgoing connections (from 32768 on Linux): a client that retries while
# its server is down could be given the server's port as its own, and the server could not come back.
_CANDIDATES = range(15_000, 32_000)
_TRIES = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now; connections in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port() -> int:
    """Pick a free loopback port; somebody else may take it before it is used.

    Raises EmbeddedServerError when none of 200 random ports is free.
    """
    for port in random.sample(_CANDIDATES, _TRIES):
        if is_free(port):
            return port
    raise EmbeddedServerError(f"no free port among {_TRIES} tried on {LOOPBACK}")
