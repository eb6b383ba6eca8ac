"""The front end and a worker, as the tests of the front end run them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.protocol import Protocol
from core.settings import Settings
from embedded.ports import LOOPBACK, choose_port
from tests.concurrency import wait_until
from tests.servers import ROOT

_WORKER = (
    "celery --app worker.main worker --pool solo --queues maintenance,interactive,bulk --loglevel WARNING"
    " --without-gossip --without-mingle --without-heartbeat"
)


@contextmanager
def serving(settings: Settings, **changed: object) -> Iterator[str]:
    """Serve the application, with some settings changed, from a thread of this process; yield its URL."""
    with running(create_app(settings.model_copy(update=changed))) as url:
        yield url


@contextmanager
def running(app: FastAPI, http: type[Protocol] = Protocol) -> Iterator[str]:
    """Serve an application from a thread of this process; yield its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=http, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the application did not start"
        threading.Event().wait(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Web:
    """A web process, started as the Procfile does; nothing that a client does may be an error of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        port = str(choose_port())
        self.url = f"http://{LOOPBACK}:{port}"
        (line,) = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web: ")]
        program, *options = (
            line.removeprefix("web: ")
            .replace("${BATON_HOST:-127.0.0.1}", LOOPBACK)
            .replace("${BATON_PORT:-8765}", port)
        ).split()
        words = [str(Path(sys.prefix, "bin", program)), *options]
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(words, env=os.environ | _urls(settings), cwd=ROOT, stderr=stderr)
        try:
            wait_until(self._is_ready)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "the web process did not start"
        try:
            return bool(httpx.get(f"{self.url}/readyz").json()["status"] == "ready")
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        lines = self._log.read_text().splitlines()
        assert [line for line in lines if " level=error " in line or "Traceback" in line] == []
        assert "Application shutdown complete." in lines[-2]


def _urls(settings: Settings) -> dict[str, str]:
    return {"BATON_DATABASE_URL": str(settings.database_url), "BATON_REDIS_URL": str(settings.redis_url)}


class Worker:
    """A worker process, started as the Procfile does, for every lane."""

    def __init__(self, settings: Settings) -> None:
        program, *options = _WORKER.split()
        words = [str(Path(sys.prefix, "bin", program)), *options]
        self._process = subprocess.Popen(words, env=os.environ | _urls(settings), cwd=ROOT)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing be executed while the block runs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.thaw()

    def thaw(self) -> None:
        """Go on before the block ends."""
        self._process.send_signal(signal.SIGCONT)
