"""What `baton up` says once the API answers: where it is and how to speak to it."""

import json
import shlex
import sys
from pathlib import Path

from cli.workspace import Tokens

_EXAMPLE = {
    "title": "Follow up with Jane Doe",
    "related_resource_type": "contact",
    "related_resource_id": "con_123",
}


def summary(tokens: Tokens, tokens_file: Path) -> str:
    """Return the text, which contains the tokens' secrets."""
    return f"""
Baton is ready: {tokens.url}   (API reference: {tokens.url}/docs)

  person's token   {tokens.person}
  agent's token    {tokens.agent}
  both are kept in {tokens_file}

Create a task as the agent:

{curl_line(tokens)}

Connect an MCP client over HTTP:

{_snippet(_over_http(tokens))}

or over stdio:

{_snippet(_over_stdio(tokens))}

Ctrl-C stops everything and loses nothing.
"""


def curl_line(tokens: Tokens) -> str:
    """Return a shell command that creates the example task and waits for it, 5 s at most."""
    return " \\\n  ".join(
        [
            f"curl -sS {tokens.url}/v1/tasks",
            f"-H 'Authorization: Bearer {tokens.agent}'",
            "-H 'Content-Type: application/json' -H 'Prefer: wait=5'",
            f"-d {shlex.quote(json.dumps(_EXAMPLE))}",
        ]
    )


def _snippet(server: dict[str, object]) -> str:
    """Return the entry for a client's configuration as JSON, a line for each member."""
    members = ",\n".join(f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in server.items())
    return f'{{"mcpServers": {{\n  "baton": {{\n{members}\n  }}\n}}}}'


def _over_http(tokens: Tokens) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {tokens.agent}"}
    return {"type": "http", "url": f"{tokens.url}/mcp", "headers": headers}


def _over_stdio(tokens: Tokens) -> dict[str, object]:
    variables = {"BATON_URL": tokens.url, "BATON_TOKEN": tokens.agent}
    return {"command": str(Path(sys.prefix, "bin", "baton")), "args": ["mcp"], "env": variables}
