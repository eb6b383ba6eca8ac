"""Every environment variable that Baton reads."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, UrlConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.logs import LogFormat

PostgresUrl = Annotated[PostgresDsn, UrlConstraints(allowed_schemes=["postgresql", "postgres"])]
RedisUrl = Annotated[RedisDsn, UrlConstraints(allowed_schemes=["redis", "rediss"])]


class Settings(BaseSettings):
    """The configuration of one Baton process, from BATON_* variables or the stack's env file.

    Times are in seconds, sizes in bytes.
    """

    model_config = SettingsConfigDict(env_prefix="BATON_", extra="ignore", frozen=True)

    database_url: PostgresUrl = Field(description="Where requests, tasks and audit events live.")
    redis_url: RedisUrl = Field(description="Broker and wake-ups; holds nothing that cannot be rebuilt.")
    host: str = Field("127.0.0.1", description="Address that the web process listens on.")
    port: int = Field(8765, ge=1, le=65535, description="Port that the web process listens on.")
    public_url: AnyHttpUrl | None = Field(None, description="Where clients reach it, if not on this machine.")

    log_format: LogFormat = Field("text", description="How log lines are written: text or json.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")

    database_timeout: float = Field(5.0, gt=0, description="Longest wait for Postgres; in a worker, for one statement.")
    read_connections: int = Field(8, ge=1, description="Read connections of one front-end process.")
    token_cache_seconds: float = Field(2.0, ge=0, le=5, description="How long a token look-up is reused.")
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest request body accepted.")
    max_batch_bytes: int = Field(4_194_304, ge=1024, description="Largest body of a batch accepted.")

    mcp_wait: float = Field(5.0, ge=0, le=30, description="How long an MCP write waits for its execution.")
    max_waiters: int = Field(5_000, ge=1, description="Callers of one process that may wait at a time.")

    intake_batch: int = Field(500, ge=1, description="Most submissions that one commit takes.")
    intake_backlog: int = Field(5_000, ge=1, description="Submissions that may gather before queue_full.")

    import_uploads: int = Field(4, ge=1, description="Uploads that one front-end process receives at a time.")
    import_window: int = Field(8, ge=2, description="Batches of one import that are sent and not executed yet.")
    import_idle: float = Field(600.0, gt=0, description="Silence after which an upload that was cut is given up.")

    execution_batch: int = Field(200, ge=1, description="Most requests that one transaction executes.")
    max_attempts: int = Field(4, ge=1, description="Runs of a command that keeps failing by itself.")
    resend_after: float = Field(4.0, gt=0, description="Age of a message before it counts as lost.")
    reconcile_every: float = Field(1.0, gt=0, description="Time between two rounds of the reconciler.")
    reconcile_batch: int = Field(2_000, ge=1, description="Most requests that one round sends again.")


def checkout_home() -> Path:
    """Return what BATON_HOME names, else the `.baton` folder of the working folder, else that beside the virtualenv."""
    if named := os.environ.get("BATON_HOME"):
        return Path(named).absolute()
    here = Path.cwd() / ".baton"
    return here if here.is_dir() else Path(sys.prefix).parent / ".baton"


@cache
def load_settings() -> Settings:
    """Read the settings once: the environment first, then the env file of the running stack.

    Raises:
        pydantic.ValidationError: a variable is missing or has no valid value.

    """
    return Settings(_env_file=checkout_home() / "env")
