"""`baton up`: a whole Baton on this machine, kept running until it is asked to stop."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from cli.exits import Failure
from cli.files import only_one, write_env
from cli.migrate import migrate_to_head
from cli.programs import Program, read_procfile
from cli.readiness import announce
from cli.servers import Servers, keep_running, servers_of
from cli.stack import DEFAULT_HOST, DEFAULT_PORT, ROOT, api_url, stack_settings
from cli.supervisor import Supervisor
from cli.terminal import Terminal
from cli.workspace import Tokens, prepare_workspace
from core.settings import checkout_home

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Started under nohup, to go on without its terminal.
    _STOP_SIGNALS.remove(signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    home: Path
    host: str
    port: int
    workers: int
    demo: bool

    @property
    def url(self) -> str:
        """Where the API will answer."""
        return api_url(self.host, self.port)


@click.command()
@click.option("--demo", is_flag=True, help="Add sample contacts, companies, deals and tasks.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    envvar="BATON_WORKERS",
    show_envvar=True,
    show_default=True,
    help="Worker processes for interactive writes.",
)
@click.option(
    "--host",
    default=DEFAULT_HOST,
    envvar="BATON_HOST",
    show_envvar=True,
    show_default=True,
    help="Address that the web process listens on.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    envvar="BATON_PORT",
    show_envvar=True,
    show_default=True,
    help="Port that the web process listens on.",
)
def up(demo: bool, workers: int, host: str, port: int) -> None:
    """Run Baton here until Ctrl-C.

    Starts Postgres and Valkey of its own, unless BATON_DATABASE_URL and BATON_REDIS_URL name others, migrates,
    makes a demo workspace with tokens, and keeps the web process and the workers running. Everything is kept
    in .baton in the checkout, or in BATON_HOME.
    """
    wish = Wish(checkout_home(), host, port, workers, demo)
    _interrupt_on_stop_signals()
    try:
        with only_one(wish.home):
            _check_free(host, port)
            with servers_of(wish.home, _say) as servers:
                _run_on(servers, wish)
    except KeyboardInterrupt:
        # Being asked to stop is no error, however early or however often.
        pass
    _say("stopped")


def _run_on(servers: Servers, wish: Wish) -> None:
    """Prepare the database and the home folder, then supervise until the end."""
    variables = {
        "BATON_DATABASE_URL": servers.database_url,
        "BATON_REDIS_URL": servers.redis_url,
        "BATON_HOST": wish.host,
        "BATON_PORT": str(wish.port),
    }
    os.environ |= variables
    settings = stack_settings()
    before, after = migrate_to_head(settings)
    if before != after:
        _say(f"the schema went from {before or 'nothing'} to {after}")
    tokens = prepare_workspace(settings, wish.home / "tokens.json", wish.url, demo=wish.demo)
    write_env(wish.home / "env", variables)
    programs = read_procfile(ROOT / "Procfile", {"worker": wish.workers}, _environment())
    asyncio.run(_supervise(programs, servers, tokens, wish))
    _interrupt_on_stop_signals()


async def _supervise(programs: Sequence[Program], servers: Servers, tokens: Tokens, wish: Wish) -> None:
    terminal = Terminal([program.name for program in programs])
    supervisor = Supervisor(programs, terminal)
    terminal.notice(f"starting {', '.join(program.name for program in programs)}")

    def stop() -> None:
        terminal.notice("killing what is left" if supervisor.stopping.is_set() else "stopping")
        supervisor.stop()

    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as tasks:
        for name, server in servers.own.items():
            tasks.create_task(keep_running(name, server, supervisor.stopping, terminal))
        announcing = tasks.create_task(announce(tokens, wish.home / "tokens.json", terminal, demo=wish.demo))
        await supervisor.run()
        announcing.cancel()


def _environment() -> dict[str, str]:
    """Return the variables of the processes, which find the environment's own programs first."""
    path = f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _check_free(host: str, port: int) -> None:
    """Raise Failure unless the web process could listen on this address now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the web process does it: connections of an earlier one that are still fading away do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Failure(
                f"Port {port} on {host} is taken by another program."
                f" Choose a free one, for example: BATON_PORT={port + 1} make run"
            ) from None
        raise Failure(
            f"Baton cannot listen on {host} port {port} (BATON_HOST, BATON_PORT): {error.strerror}."
        ) from None


def _interrupt_on_stop_signals() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _STOP_SIGNALS:
        signal.signal(number, interrupt)


def _say(text: str) -> None:
    Terminal().notice(text)
