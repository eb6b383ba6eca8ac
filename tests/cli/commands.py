"""`baton` commands, run in this process or as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import cli
from core.settings import Settings

BATON = str(Path(sys.prefix, "bin", "baton"))


def variables_of(settings: Settings) -> dict[str, str]:
    return {"BATON_DATABASE_URL": str(settings.database_url), "BATON_REDIS_URL": str(settings.redis_url)}


def clean_environment(**named: str) -> dict[str, str]:
    """Return this process's variables without those that name a stack, and these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BATON_")} | named


def invoke(*arguments: str, **variables: str) -> Result:
    """Run a command in this process; a traceback fails the test."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith("BATON_")), None)
    result = CliRunner().invoke(cli, arguments, env={**unset, "BATON_HOME": "/nonexistent", **variables})
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [BATON, *arguments], env=clean_environment(**variables), capture_output=True, text=True, check=False
    )
