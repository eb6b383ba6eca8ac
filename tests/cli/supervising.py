"""A supervisor as a process of its own, for a test that kills it; prints the process id of what it runs."""

import asyncio
import os
from pathlib import Path

from cli.programs import Program
from cli.supervisor import Supervisor


class Standard:
    def line(self, _name: str, text: str) -> None:
        print(text, flush=True)  # noqa: T201 - what the test reads

    def notice(self, text: str) -> None:
        del text


if __name__ == "__main__":
    STUBBORN = "sh -c 'trap \"\" TERM HUP INT; echo $$; exec sleep 3600'"
    program = Program("it", STUBBORN, Path("/"), {"PATH": os.environ["PATH"]})
    asyncio.run(Supervisor([program], Standard()).run())
