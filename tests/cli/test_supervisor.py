"""The supervisor over real processes, which are lines of shell."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.programs import Program
from cli.supervisor import Backoff, Supervisor
from tests.cli.stand_ins import FOREVER, Recorder, is_alive, program


@asynccontextmanager
async def supervised(*programs: Program, stop_seconds: float = 60) -> AsyncIterator[tuple[Supervisor, Recorder]]:
    output = Recorder()
    supervisor = Supervisor(programs, output, stop_seconds)
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, output
    finally:
        if not supervisor.stopping.is_set():
            supervisor.stop()
        await running


async def until_dead(pid: int) -> None:
    while is_alive(pid):  # noqa: ASYNC110 - the kernel sets no asyncio.Event
        await asyncio.sleep(0.01)


async def test_lines_come_with_the_name_of_their_process_whole_and_in_order() -> None:
    speaks = program("echo one; echo two >&2; printf 'th'; sleep 0.05; printf 'ree\\r\\n'; printf four", "speaks")
    async with supervised(speaks, program(FOREVER, "quiet")) as (_, output):
        lines = await output.wait_for("speaks", lambda lines: len(lines) >= 4)
    assert lines[:4] == ["one", "two", "three", "four"]
    assert output.of("quiet") == []


async def test_output_that_is_not_text_or_never_ends_its_line_is_shown_all_the_same() -> None:
    endless = "head -c 3000000 /dev/zero | tr '\\0' x; printf '\\377\\n'; " + FOREVER
    async with supervised(program(endless)) as (_, output):
        lines = await output.wait_for("it", lambda lines: any("\N{REPLACEMENT CHARACTER}" in line for line in lines))
    assert sum(line.count("x") for line in lines) == 3_000_000


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM"), (signal.SIGRTMIN + 5, "signal ")]
)
async def test_a_process_that_is_killed_is_started_again(number: int, name: str) -> None:
    async with supervised(program(f"echo $$; {FOREVER}")) as (_, output):
        (first,) = await output.wait_for("it", lambda lines: len(lines) == 1)
        os.kill(int(first), number)
        await output.wait_for("it", lambda lines: len(lines) == 2)
    assert f"it was ended by {name}" in output.of("baton")[0]


async def test_a_process_that_ends_by_itself_is_started_again_and_its_exit_code_is_told() -> None:
    async with supervised(program("echo here; exit 3")) as (_, output):
        await output.wait_for("it", lambda lines: len(lines) >= 2)
    assert "it ended with exit code 3" in output.of("baton")[0]


async def test_one_that_keeps_failing_is_named_with_its_last_words_and_the_others_go_on() -> None:
    fails = program("echo 'no module named baton' >&2; exit 1", "fails")
    async with supervised(fails, program(f"echo $$; {FOREVER}", "works")) as (_, output):
        said = await output.wait_for("baton", lambda lines: any("keeps failing" in line for line in lines))
        (pid,) = output.of("works")
        assert is_alive(int(pid))
    assert any(line.startswith("fails keeps failing") and "no module named baton" in line for line in said)


async def test_what_cannot_even_be_started_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    async with supervised(program(f"echo here; {FOREVER}", folder=folder)) as (_, output):
        await output.wait_for("baton", lambda lines: any("could not be started" in line for line in lines))
        folder.mkdir()
        await output.wait_for("it", lambda lines: lines == ["here"])


async def test_a_stop_asks_every_process_and_lets_it_finish() -> None:
    polite = 'trap "sleep 0.2; echo bye; exit 0" TERM; echo up; ' + FOREVER
    async with supervised(program(polite, "a"), program(polite, "b")) as (supervisor, output):
        for name in ("a", "b"):
            await output.wait_for(name, lambda lines: lines == ["up"])
        supervisor.stop()
    assert [output.of(name) for name in ("a", "b")] == [["up", "bye"], ["up", "bye"]]
    assert output.of("baton") == []


async def test_a_process_that_ignores_the_stop_is_killed_with_its_children() -> None:
    stubborn = "trap '' TERM; sleep 3600 & echo $$ $!; while :; do wait; done"
    async with supervised(program(stubborn), stop_seconds=0.1) as (_, output):
        (pids,) = await output.wait_for("it", lambda lines: len(lines) == 1)
    for pid in pids.split():
        await until_dead(int(pid))
    assert "it did not end within 0.1 s and is killed" in output.of("baton")


async def test_a_second_stop_does_not_wait_for_the_stubborn() -> None:
    async with supervised(program(f"trap '' TERM; echo $$; {FOREVER}"), stop_seconds=3600) as (supervisor, output):
        (pid,) = await output.wait_for("it", lambda lines: len(lines) == 1)
        supervisor.stop()
        supervisor.stop()
    await until_dead(int(pid))


async def test_children_that_a_process_leaves_behind_end_with_it() -> None:
    leaves = "sleep 3600 & echo $!; exit 1"
    async with supervised(program(leaves)) as (_, output):
        left, *_ = await output.wait_for("it", lambda lines: len(lines) >= 1)
        await until_dead(int(left))


async def test_a_stop_during_a_pause_starts_nothing_any_more() -> None:
    async with supervised(program("echo run; exit 1")) as (supervisor, output):
        await output.wait_for("baton", lambda lines: len(lines) >= 1)
        supervisor.stop()
    assert len(output.of("it")) == len(output.of("baton"))


def test_processes_end_with_a_supervisor_that_is_killed() -> None:
    script = Path(__file__).with_name("supervising.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        pid = int(supervising.stdout.readline())
        assert is_alive(pid)
        supervising.kill()
    asyncio.run(until_dead(pid))


def test_pauses_grow_while_something_keeps_failing_and_shrink_once_it_ran() -> None:
    backoff = Backoff()
    pauses = [round(backoff.after(0.1), 3) for _ in range(7)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert [backoff.after(60), backoff.failures] == [0.2, 1]
    assert [backoff.after(0.1) for _ in range(5000)][-1] == 5.0
