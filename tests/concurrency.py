"""Doing things at once, and waiting for what other threads and processes do."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from psycopg import Connection

import core.execution
from core.db import connect
from core.settings import Settings

T = TypeVar("T")

_PATIENCE_SECONDS = 120.0


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run every function in a thread of its own, all let go together; return their results in order."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        gate.wait(_PATIENCE_SECONDS)
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Run a function in a thread while the block runs, then wait for its end."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; raises TimeoutError when it does not within two minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; raises TimeoutError when it does not within two minutes."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.01)


@contextmanager
def held_at(step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold the first execution that has taken a step of its transaction; yield "it is there" and "let it go"."""
    there, go, take = threading.Event(), threading.Event(), getattr(core.execution, step)

    def take_and_wait(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (whatever the step returns)
        result = take(*args, **kwargs)
        if not there.is_set():
            there.set()
            go.wait(_PATIENCE_SECONDS)
        return result

    monkeypatch.setattr(core.execution, step, take_and_wait)
    try:
        yield there, go
    finally:
        go.set()


def patient_worker(settings: Settings) -> Connection[Any]:
    """Connect as a worker does, but wait for locks as long as a crowded machine needs."""
    connection = connect(settings, worker=True)
    connection.execute("SET lock_timeout = '30s'; SET transaction_timeout = '60s'; SET statement_timeout = '30s'")
    return connection


def wait_until_blocked(observer: Connection[Any], blocked: Connection[Any]) -> None:
    """Return once a connection, which another thread uses, waits for a lock."""
    pid = blocked.info.backend_pid
    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: observer.execute(waits, (pid,)).fetchone() == (True,))
