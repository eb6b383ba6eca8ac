"""Start a server and keep it until standard input ends: a launcher that tests can kill.

    python launcher.py postgres|valkey HOME

Prints one line of JSON, either {"pid": ..., "url": ...} or {"error": ...}; then one line for each Ctrl-C.
"""

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey


def main() -> None:
    name, home = sys.argv[1:]
    signal.signal(signal.SIGINT, _say_interrupted)
    server = EmbeddedPostgres(Path(home)) if name == "postgres" else EmbeddedValkey(Path(home))
    try:
        with server:
            _say(json.dumps({"pid": server.pid, "url": server.url}))
            sys.stdin.read()
    except EmbeddedServerError as error:
        _say(json.dumps({"error": str(error)}))


def _say_interrupted(_number: int, _frame: FrameType | None) -> None:
    _say("interrupted")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
