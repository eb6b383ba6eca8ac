"""How rows are printed: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

json_option = click.option("--json", is_flag=True, help="Print JSON.")

# Of a table that goes into a file or a pipe, so that no cell is cut or wrapped there.
_ENDLESS = 100_000


def as_json(value: object) -> str:
    """Return indented JSON; dataclasses become objects, times RFC 3339."""
    return json.dumps(value, default=_plain, indent=2, ensure_ascii=False)


def print_table(row_class: "type[DataclassInstance]", rows: "Sequence[DataclassInstance]") -> None:
    """Print the rows to standard output, a column for each field of their class."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = [field.name for field in fields(row_class)]
    table = Table(*(name.upper() for name in names), box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*(_cell(getattr(row, name)) for name in names))
    width = None if sys.stdout.isatty() else _ENDLESS
    Console(width=width, highlight=False, markup=False).print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        case list():
            return " ".join(map(str, value))
        case _:
            return str(value)


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _ if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        case _:
            message = f"{type(value).__name__} is not data"
            raise TypeError(message)
