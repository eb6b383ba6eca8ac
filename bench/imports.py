"""The figures of imports: how fast, in how much memory, and what others notice of them."""

import csv
import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from bench import load
from bench.contenders import TASK, Contender, baton
from bench.figures import Figure, Goal, Plan, Samples
from bench.peers import plain_sql
from bench.stage import Stage

_FEW = 10_000
_PAUSE_SECONDS = 0.05
_IDLE_SECONDS = 10.0
_LIMIT = "(e) plain SQL"


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was seen of Baton: rows per second, peaks of memory by process in MB, and latencies of another workspace."""

    rate: float
    memory: Mapping[str, int]
    memory_of_few: Mapping[str, int]
    idle: load.Load
    during: load.Load


def imports(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """One CSV file is uploaded, once; the clock runs from its first byte until all its rows are executed.

    (e) writes the same rows by COPY into a staging table and three INSERT ... SELECT, in one transaction. Memory is the
    peak of a process after this file, against that after one of 10,000 rows. Meanwhile another workspace creates tasks,
    20 a second at most, with `Prefer: wait`; it did so before, when nothing else happened.
    """
    ours = _measure(stage, plan.rows)
    rates = {"Baton": ours.rate, _LIMIT: _limit(stage, plan.rows)}
    yield _figure(f"import of {plan.rows:,} rows", "rows/s", rates, Goal(0.5))
    for name in ("web", "bulk"):
        peaks = {f"{plan.rows:,} rows": ours.memory[name], f"{_FEW:,} rows": ours.memory_of_few[name]}
        yield _figure(f"memory of an import, {name} process", "MB", peaks, Goal(1.2, at_most=True))
    medians = {"during the import": ours.during.median_ms, "idle": ours.idle.median_ms}
    yield _figure("another workspace meanwhile, median", "ms", medians, Goal(3, at_most=True))
    slowest = {"during the import": ours.during.p99_ms, "idle": ours.idle.p99_ms}
    yield _figure("another workspace meanwhile, p99", "ms", slowest, Goal(3, at_most=True))


def _figure(title: str, unit: str, values: Mapping[str, float], goal: Goal) -> Figure:
    """Return the figure of values that were measured once, with a goal for the first relative to the last."""
    return Figure(title, unit, {name: Samples([value]) for name, value in values.items()}, {[*values][-1]: goal})


def _measure(stage: Stage, rows: int) -> _Measured:
    latencies: list[float] = []
    with baton(stage) as ours:
        few, many = (_write(ours.place.folder, number) for number in (_FEW, rows))
        other = load.post(f"{ours.url}/v1/tasks", {**ours.new_workspace("ten_other"), "prefer": "wait=10"}, TASK, 201)
        ours.get_ready()
        with ours.serving(), ours.executing():
            _import(ours, few, _FEW, lambda: None)
            idle = load.send(other, connections=1, seconds=_IDLE_SECONDS, pause=_PAUSE_SECONDS)
            memory_of_few = ours.peak_megabytes()

            def ask() -> None:
                latencies.extend(load.send(other, connections=1, seconds=1, pause=_PAUSE_SECONDS).latencies)

            seconds = _import(ours, many, rows, ask)
            memory = ours.peak_megabytes()
    return _Measured(rows / seconds, memory, memory_of_few, idle, load.Load(seconds, latencies))


def _import(contender: Contender, file: Path, rows: int, meanwhile: Callable[[], None]) -> float:
    """Import a file and return after how many seconds all of it was executed; `meanwhile` is called until then."""
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as uploads:
        upload = uploads.submit(_upload, contender, file)
        while not upload.done():
            meanwhile()
            time.sleep(0.01)
    status = load.get(f"{contender.url}{upload.result()}", contender.headers)
    while (seen := orjson.loads(load.send_once(status))["import"])["finished_at"] is None:
        meanwhile()
        time.sleep(0.01)
    if seen["succeeded"] != rows:
        raise load.UnexpectedAnswer(f"not all of {rows} rows were executed: {seen}")
    return time.perf_counter() - began


def _upload(contender: Contender, file: Path) -> str:
    """Upload a file and return where the status of its import is."""
    connection = http.client.HTTPConnection(urlsplit(contender.url).netloc, timeout=600, blocksize=1 << 16)
    with file.open("rb") as body:
        headers = {**contender.headers, "content-type": "text/csv", "content-length": str(file.stat().st_size)}
        connection.request("POST", "/v1/imports", body, headers)
        response = connection.getresponse()
    text, location = response.read(), response.headers["location"]
    connection.close()
    if response.status != http.HTTPStatus.ACCEPTED or location is None:
        raise load.UnexpectedAnswer(f"{response.status}: {text.decode()}")
    return location


def _limit(stage: Stage, rows: int) -> float:
    place = stage.new_place()
    file = _write(place.folder, rows)
    began = time.perf_counter()
    plain_sql.load(place.database_url, file)
    return rows / (time.perf_counter() - began)


def _write(folder: Path, rows: int) -> Path:
    file = folder / f"{rows}.csv"
    task = {**TASK, "title": f"Follow up with Jane Doe, file of {rows}"}  # Baton knows a row that it has taken already
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(task)
        writer.writerows(repeat(task.values(), rows))
    return file
