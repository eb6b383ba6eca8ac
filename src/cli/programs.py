"""What a stack consists of: the Procfile's processes, and how many of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from honcho.environ import parse_procfile


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running: a shell command, where and with which variables."""

    name: str
    command: str
    folder: Path
    environment: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        """Return the arguments; the shell gives way to the command, so that signals reach the command."""
        return ["/bin/sh", "-c", f"exec {self.command}"]


def read_procfile(path: Path, counts: Mapping[str, int], environment: Mapping[str, str]) -> list[Program]:
    """Return the programs of a Procfile: `counts[name]` of each, one where it says nothing.

    They run in the Procfile's folder. Several of a kind are numbered: worker.1, worker.2.
    """
    processes = parse_procfile(path.read_text()).processes
    return [
        # Celery's nodes need names that differ; its options may come as variables.
        Program(name, command, path.parent, {**environment, "CELERY_WORKER_HOSTNAME": f"{name}@%h"})
        for kind, command in processes.items()
        for count in [counts.get(kind, 1)]
        for name in ([kind] if count == 1 else [f"{kind}.{number}" for number in range(1, count + 1)])
    ]
