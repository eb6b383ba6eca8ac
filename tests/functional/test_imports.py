"""An import of which parts die, and what becomes of its rows: each of them is executed, once."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.functional.stack import BATON, Stack, until

_ROWS = 20_000
_PATIENCE_SECONDS = 240


def _file(folder: Path) -> Path:
    """Write a file that takes a while to send: 2 KB a row."""
    file = folder / "tasks.csv"
    with file.open("w") as rows:
        rows.write("title,description\n")
        rows.writelines(f"Task {number},{'x' * 2_000}\n" for number in range(_ROWS))
    return file


def _is_seen(stack: Stack, condition: Callable[[dict[str, Any]], bool]) -> bool:
    """Tell whether the newest import is there and as wanted; no web process is no answer."""
    try:
        with stack.client() as client:
            imports = client.get("/v1/imports", params={"limit": 1}).json()["imports"]
    except httpx.TransportError:
        return False
    return bool(imports) and condition(imports[0])


def test_killing_the_api_and_the_bulk_worker_during_an_import_executes_every_row_once(
    stack: Stack, tmp_path: Path
) -> None:
    words = [str(BATON), "import", str(_file(tmp_path)), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=stack.environment, stdout=pipe, stderr=pipe) as importing:
        until(lambda: _is_seen(stack, lambda known: known["state"] == "receiving"), "an upload is under way")
        stack.kill("web")
        stack.kill("bulk")
        until(lambda: _is_seen(stack, lambda known: known["succeeded"] > 0), "rows are executed", seconds=120)
        stack.kill("bulk")
        stdout, stderr = importing.communicate(timeout=_PATIENCE_SECONDS)

    assert importing.returncode == 0, stderr.decode() + stack.log.read_text()[-6000:]
    assert b"Going on with imp_" in stderr
    known = json.loads(stdout)
    assert (known["state"], known["rows"], known["succeeded"]) == ("completed", _ROWS, _ROWS)
    with psycopg.connect(stack.database_url) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT t.title), max(t.revision), count(DISTINCT a.request_id)"
            " FROM requests r JOIN tasks t ON (t.tenant_id, t.id) = (r.tenant_id, r.target_id)"
            " JOIN audit_events a ON (a.tenant_id, a.request_id) = (r.tenant_id, r.id)"
            " WHERE r.import_id = %s AND r.status = 'succeeded' AND a.outcome = 'applied'",
            [known["id"]],
        ).fetchone()
    assert found == (_ROWS, _ROWS, 1, _ROWS)
