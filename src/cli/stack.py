"""The stack that `baton up` runs, as the other commands find it: its home folder, env file and address."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from cli.exits import Failure
from core.settings import Settings, checkout_home

ROOT = Path(__file__).resolve().parents[2]
"""Where the Procfile and the migrations are: the checkout, and in the image the folder that is like one."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, translated to connect


def stack_settings() -> Settings:
    """Read the settings of the running stack, from the environment first.

    Raises:
        Failure: a variable is missing or has no valid value.

    """
    env = checkout_home() / "env"
    try:
        return Settings(_env_file=env)
    except ValidationError as error:
        raise Failure(_what_is_wrong(error, env)) from None


def running_url() -> str:
    """Return the URL of the running API: BATON_URL, else where `baton up` said that it listens."""
    if named := os.environ.get("BATON_URL"):
        return named.rstrip("/").removesuffix("/mcp")
    return _announced().get("url") or api_url(DEFAULT_HOST, DEFAULT_PORT)


def person_token(url: str) -> str | None:
    """Return the token that `baton up` made for a person, where it is of the API at this URL and no other."""
    announced = _announced()
    return announced.get("person") if announced.get("url") == url else None


def api_url(host: str, port: int) -> str:
    """Return the URL at which a process that listens on this address is reached from this machine."""
    reached = _ANY_ADDRESS.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def is_here(url: str) -> bool:
    """Return whether a URL is one of this machine's own: a proxy that the environment names is not for it."""
    return urlsplit(url).hostname in _THIS_MACHINE


def _announced() -> dict[str, str]:
    """Return what `baton up` wrote into tokens.json; nothing where there is no such file."""
    try:
        members = json.loads((checkout_home() / "tokens.json").read_text())
        return {name: str(value) for name, value in members.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _what_is_wrong(error: ValidationError, env: Path) -> str:
    wrong = {f"BATON_{str(each['loc'][0]).upper()}": each for each in error.errors()}
    missing = [name for name, each in wrong.items() if each["type"] == "missing"]
    if missing:
        return (
            f"No stack was found: {' and '.join(missing)} not set, in the environment or in {env}."
            " Start Baton with `make run`, or set what is missing."
        )
    return "; ".join(f"{name}: {each['msg']}" for name, each in wrong.items())
