"""Waiting for the API to be ready, and what follows once it is."""

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2

from cli.samples import add_sample_tasks
from cli.summary import summary
from cli.supervisor import Output
from cli.workspace import Tokens

_POLL_SECONDS = 0.1
_SAY_WHY_EVERY_SECONDS = 15.0


async def announce(tokens: Tokens, tokens_file: Path, output: Output, *, demo: bool) -> None:
    """Print the summary to standard output once the API is ready; add the sample tasks before, if wanted."""
    async with httpx2.AsyncClient(base_url=tokens.url, timeout=5.0, trust_env=False) as client:
        await _until_ready(client, output)
        if demo:
            try:
                await add_sample_tasks(client, tokens)
            except Exception as error:  # noqa: BLE001 - samples are no reason to end the stack
                output.notice(f"the sample tasks could not be added: {error!r}; `baton up --demo` tries again")
    with suppress(OSError):
        sys.stdout.write(summary(tokens, tokens_file))
        sys.stdout.flush()


async def _until_ready(client: httpx2.AsyncClient, output: Output) -> None:
    began = said = time.monotonic()
    while reason := await why_not_ready(client):
        now = time.monotonic()
        if now - said >= _SAY_WHY_EVERY_SECONDS:
            output.notice(f"not ready after {now - began:.0f} s: {reason}")
            said = now
        await asyncio.sleep(_POLL_SECONDS)


async def why_not_ready(client: httpx2.AsyncClient) -> str | None:
    """Return why the API cannot serve; None when it can."""
    try:
        answer = await client.get("/readyz")
    except httpx2.HTTPError as error:
        return f"{client.base_url} does not answer ({type(error).__name__})"
    return None if answer.status_code == httpx2.codes.OK else f"/readyz answers {answer.status_code}: {answer.text}"
