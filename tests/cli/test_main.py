import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from cli.main import COMMANDS, cli
from tests.cli.commands import invoke


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").stdout == f"baton {version('baton')}\n"


def test_help_lists_every_command_with_a_sentence() -> None:
    shown = invoke("--help").stdout
    for name, (_, sentence) in COMMANDS.items():
        assert name in shown
        assert sentence in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_has_help_of_its_own(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.help
    assert invoke(name, "--help").exit_code == 0


def test_an_unknown_command_is_wrong_usage() -> None:
    assert invoke("tenants").exit_code == 2


def test_help_loads_no_command() -> None:
    script = "import sys, cli.main; print([name for name in sys.modules if name in sys.argv[1:]])"
    heavy = ["sqlalchemy", "pydantic", "psycopg", "celery", "httpx2", "rich", "mcp"]
    done = subprocess.run([sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
