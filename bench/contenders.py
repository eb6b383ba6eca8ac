"""Who is compared: Baton as `baton up` runs it, and its peers, each with processes and a place of its own."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import load
from bench.processes import Process, wait_until
from bench.stage import Place, Stage
from cli.programs import Program, read_procfile
from cli.stack import ROOT
from core.tenancy.model import SCOPES, Actor
from core.tenancy.queries import create_tenant, create_token
from embedded.ports import LOOPBACK, choose_port

TENANT = "ten_bench"
TASK = {
    "title": "Follow up with Jane Doe",
    "description": "She asked how the annual plan compares; send the table before the call.",
    "due_at": "2030-12-04T09:00:00Z",
    "assignee_id": "usr_1",
}
"""What everybody writes."""

_AGENT = Actor("agt_1", "agent", "Bench agent")
_START_SECONDS = 60.0
_EXECUTE_SECONDS = 120.0
_POLL_SECONDS = 0.02


class Contender:
    """A web process and perhaps workers, which stand still but for their turns."""

    def __init__(self, title: str, place: Place, port: int, programs: Sequence[Program], *, created: int = 202) -> None:
        """Start the programs, of which the first serves; `created` is the status by which it takes a write.

        They go on starting together with others', until `get_ready`.
        """
        self.title = title
        self.place = place
        self.url = f"http://{LOOPBACK}:{port}"
        self.headers: Mapping[str, str] = {}
        self._created = created
        self._taken = 0
        self._connection = place.connect()
        self._address = (LOOPBACK, port)
        self._ready = False
        self._processes = [Process(program, place.folder) for program in programs]

    def get_ready(self) -> None:
        """Wait until it serves, and hold it until its first turn; does nothing a second time."""
        if self._ready:
            return
        self._ready = True
        wait_until(self._listens, f"{self.title} listens", poll=0.1, seconds=_START_SECONDS)
        for process in self._processes:
            process.hold()

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        self._connection.close()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let the web process work while the block runs."""
        with _working(self._processes[:1]):
            yield

    @contextmanager
    def executing(self) -> Iterator[None]:
        """Let the workers work while the block runs."""
        with _working(self._processes[1:]):
            yield

    def creation(self) -> load.Request:
        """Return the request that writes one task."""
        return load.post(f"{self.url}/v1/tasks", self.headers, TASK, self._created)

    def batch(self, tasks: int) -> load.Request:
        """Return the request that writes so many tasks at once."""
        commands = [{"command": "task.create", **TASK}] * tasks
        return load.post(f"{self.url}/v1/tasks/batch", self.headers, {"commands": commands}, self._created)

    def waited_creation(self) -> load.Request:
        """Return the request that writes one task, and is answered when that is done."""
        return load.post(f"{self.url}/v1/tasks", {**self.headers, "prefer": "wait=10"}, TASK, 201)

    def take(self, request: load.Request, *, connections: int, seconds: float, writes: int = 1) -> load.Load:
        """Send a request that makes so many writes, again and again."""
        done = load.send(request, connections=connections, seconds=seconds)
        self._taken += writes * done.answers
        return done

    def wait_until_executed(self) -> None:
        """Wait until all that was taken is executed; at once where there are no workers."""
        if len(self._processes) > 1:
            wait_until(self._is_executed, f"{self.title} executed all", poll=_POLL_SECONDS, seconds=_EXECUTE_SECONDS)

    def peak_megabytes(self) -> dict[str, int]:
        """Return the most memory that each process has held so far."""
        return {process.name: process.peak_megabytes() for process in self._processes}

    def _is_executed(self) -> bool:
        row = self._connection.execute("SELECT count(*) FROM audit_events").fetchone()
        return row is not None and row[0] >= self._taken

    def _listens(self) -> bool:
        for process in self._processes:
            process.check()
        with socket.socket() as probe:
            return probe.connect_ex(self._address) == 0


class Baton(Contender):
    """Baton, whose requests need a token."""

    def new_workspace(self, tenant_id: str) -> dict[str, str]:
        """Make a workspace and return the headers of a request to it."""
        with self.place.connect() as connection:
            create_tenant(connection, tenant_id, "The bench")
            token = create_token(connection, tenant_id, _AGENT, list(SCOPES))[1]
        return {"authorization": f"Bearer {token}"}

    def _is_executed(self) -> bool:
        row = self._connection.execute("SELECT NOT EXISTS (SELECT FROM requests WHERE status = 'queued')").fetchone()
        return row == (True,)


@contextmanager
def baton(stage: Stage, title: str = "Baton", *, workers: int = 2, others: int = 1) -> Iterator[Baton]:
    """Run Baton: its web process, so many interactive workers, and one of each other process or none."""
    place, port = stage.new_place(), choose_port()
    counts = {"worker": workers, "bulk": others, "beat": others}
    programs = read_procfile(ROOT / "Procfile", counts, {**place.environment, "BATON_PORT": str(port)})
    contender = Baton(title, place, port, programs)
    contender.headers = contender.new_workspace(TENANT)
    try:
        yield contender
    finally:
        contender.stop()


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer is run: its web application, its worker, and what makes its tables, where it has them."""

    title: str
    app: str
    worker: str = ""
    prepare: str = ""
    created: int = 202


NOTHING = Peer("(a) does nothing", "bench.peers.nothing:api")
CELERY = Peer(
    "(b) Celery",
    "bench.peers.celery_tasks:api",
    worker="celery --quiet --app bench.peers.celery_tasks:tasks worker",
)
SYNCHRONOUS = Peer("(c) synchronous", "bench.peers.synchronous:api", created=201)
PROCRASTINATE = Peer(
    "(d) Procrastinate",
    "bench.peers.procrastinate_jobs:api",
    worker="procrastinate --app bench.peers.procrastinate_jobs.jobs --log-level warning worker --concurrency 10",
    prepare="procrastinate --app bench.peers.procrastinate_jobs.jobs schema --apply",
)
PAGES = Peer("(f) bare psycopg", "bench.peers.pages:api")
MCP_TOOL = Peer("plain MCP tool", "bench.peers.mcp_tool:api")


@contextmanager
def peer(
    stage: Stage, kind: Peer, *, place: Place | None = None, worker: bool = True, options: str = ""
) -> Iterator[Contender]:
    """Run a peer, its worker with further options, or without it; `place` where it is not to be one of its own."""
    place, port = place or stage.new_place(), choose_port()
    environment = {**place.environment, "BATON_PORT": str(port)}
    if kind.prepare:
        place.run(kind.prepare)
    commands = {"web": _serve(kind.app), **({"worker": f"{kind.worker} {options}"} if kind.worker and worker else {})}
    programs = [Program(name, command, ROOT, environment) for name, command in commands.items()]
    contender = Contender(kind.title, place, port, programs, created=kind.created)
    try:
        yield contender
    finally:
        contender.stop()


def _serve(app: str) -> str:
    """Return the Procfile's command for the web process with another application, and with uvicorn's own protocol."""
    (web,) = read_procfile(ROOT / "Procfile", {"worker": 0, "bulk": 0, "beat": 0}, {})
    return web.command.replace("api.main:app", app).replace("--http api.protocol:Protocol", "--http httptools")


@contextmanager
def _working(processes: Sequence[Process]) -> Iterator[None]:
    for process in processes:
        process.let_go()
    try:
        yield
    finally:
        for process in processes:
            process.hold()
