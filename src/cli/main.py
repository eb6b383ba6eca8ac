"""The `baton` command. Each of its commands is a module, which is loaded when it is used."""

from importlib import import_module

import click

# The sentence stands here and not in the module, so that `baton --help` loads none of them.
COMMANDS = {
    "up": ("cli.up:up", "Run Baton here: servers, web process and workers."),
    "doctor": ("cli.doctor:doctor", "Say what is wrong, and what to do about it."),
    "migrate": ("cli.migrate:migrate", "Bring the database to the newest schema."),
    "tenant": ("cli.tenants:tenant", "Make and list workspaces."),
    "token": ("cli.tokens:token", "Make, list and revoke access tokens."),
    "import": ("cli.imports:import_", "Import tasks from a CSV or NDJSON file."),
    "mcp": ("cli.stdio:mcp", "Serve MCP on standard input and output."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 some rows not taken, 4 not allowed, 75 try again later.",
)
@click.version_option(package_name="baton", message="baton %(version)s")
def cli() -> None:
    """Baton: tasks for an agent-facing CRM.

    Commands speak to the stack that `baton up` runs from this checkout; BATON_DATABASE_URL, BATON_REDIS_URL
    and BATON_URL name another one.
    """


def main() -> None:
    """Run the command that the arguments name."""
    cli(prog_name="baton")
