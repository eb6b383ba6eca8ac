"""What the bench says: a table for the terminal, and RESULTS.md."""

import inspect
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import log10
from pathlib import Path

from rich.table import Table

from bench.figures import Figure, Plan, Samples
from bench.load import SPENT

_PACKAGES = ("fastapi", "uvicorn", "uvloop", "pydantic", "mcp", "psycopg", "sqlalchemy", "celery", "procrastinate")
_COLUMNS = ("what", "who", "median (range)", "Baton / it (range)", "goal", "reached")
_FINDINGS = Path(__file__).with_name("findings.md")


def terminal_table(figures: Sequence[Figure]) -> Table:
    """Return the figures as a table of rich."""
    table = Table()
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    for figure in figures:
        for line in _lines(figure):
            table.add_row(*(cell.strip("*") for cell in line))
        table.add_section()
    return table


def markdown_table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table of Markdown."""
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *(line for figure in figures for line in _lines(figure))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lines(figure: Figure) -> Iterator[tuple[str, ...]]:
    ratios = {title: (ratio, goal) for title, ratio, goal in figure.ratios()}
    for position, (title, samples) in enumerate(figure.samples.items()):
        measured = (figure.title if position == 0 else "", title, f"{_with_range(samples, figure.unit)}")
        if title not in ratios:
            yield (*measured, "", "", "")
            continue
        ratio, goal = ratios[title]
        yield (*measured, _with_range(ratio), str(goal), "yes" if goal.is_reached(ratio.median) else "**no**")


def _with_range(samples: Samples, unit: str = "") -> str:
    measured = f"{_number(samples.median)} {unit}".rstrip()
    least, most = _number(min(samples.values)), _number(max(samples.values))
    return measured if len(samples.values) == 1 else f"{measured} ({least} to {most})"


def _number(value: float) -> str:
    """Return three digits that count, and thousands in groups."""
    digits = max(0, 2 - int(log10(value))) if value >= 1 else 2
    return f"{value:,.{digits}f}"


def results_page(
    figures: Sequence[Figure],
    plan: Plan,
    rows: Sequence[Callable[..., object]],
    servers: Mapping[str, str],
) -> str:
    """Return RESULTS.md: the table, where and with what it was measured, how, and what holds back."""
    versions = {"Python": platform.python_version(), **servers, **{name: version(name) for name in _PACKAGES}}
    measured = "\n\n".join(f"**{row.__name__}.** {_paragraph(row)}" for row in rows)
    return f"""# Results

Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC, {_commit()}.

{markdown_table(figures)}

## Where and with what

{_machine()}. All share it: client, web process, workers, Postgres with `fsync`, and Valkey.

{", ".join(f"{name} {number}" for name, number in versions.items())}.

## How

The contenders of a figure run at the same time and take turns: {plan.rounds} rounds of {plan.seconds:g} s for each,
after one that does not count. Whose turn it is not stands still. A figure is the median of the rounds; a ratio is the
median of the rounds' ratios, so that whatever slows the machine for a while slows both sides of it. All are sent the
same task by the same client over {plan.connections} keep-alive connections, are served by uvicorn with the same
options, and write the same three rows (task, request, audit event) into tables of the same schema. Only Baton asks for
a token. The client itself spent {1e6 * SPENT.cpu_seconds / SPENT.answers:.0f} us of processor time on an answer.

{measured}

{_FINDINGS.read_text()}"""


def _paragraph(row: Callable[..., object]) -> str:
    return " ".join((inspect.getdoc(row) or "").split())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    return f"commit {found.stdout.strip()}" if found.returncode == 0 else "outside of a repository"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
