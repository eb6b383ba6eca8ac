"""`make bench`: measure Baton and its peers side by side, print the table, and after a whole run write RESULTS.md."""

import sys
from collections.abc import Callable, Iterator

import click
from rich.console import Console

from bench import agents, imports, reads, writes
from bench.figures import Figure, Plan
from bench.report import results_page, terminal_table
from bench.stage import Stage
from cli.stack import ROOT

_WIDTH = 130  # where there is no terminal that has one
_RESULTS = ROOT / "bench" / "RESULTS.md"

ROWS: dict[str, Callable[[Stage, Plan], Iterator[Figure]]] = {
    row.__name__: row
    for row in (
        writes.accept,
        writes.sustain,
        writes.drain,
        writes.batch,
        writes.wait,
        reads.pages,
        agents.mcp,
        imports.imports,
    )
}


@click.command()
@click.option("--only", type=click.Choice(list(ROWS)), multiple=True, help="Measure this alone; may be repeated.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds that count.")
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Load of one turn.")
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True, help="Connections of a load.")
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True, help="Rows of an import.")
def main(only: tuple[str, ...], rounds: int, seconds: float, connections: int, rows: int) -> None:
    """Measure Baton and its peers side by side on this machine. A run of everything writes bench/RESULTS.md."""
    plan, console = Plan(rounds, seconds, connections, rows), Console(width=None if sys.stdout.isatty() else _WIDTH)
    figures: list[Figure] = []
    with Stage() as stage:
        for name in only or ROWS:
            with console.status(f"measuring {name}"):
                figures += ROWS[name](stage, plan)
        servers = stage.versions()
    console.print(terminal_table(figures))
    if not only:
        _RESULTS.write_text(results_page(figures, plan, list(ROWS.values()), servers))
        console.print(f"written: {_RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
