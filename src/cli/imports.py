"""`baton import`: the rows of a file become tasks."""

from contextlib import closing
from io import BufferedReader
from pathlib import Path

import click

from cli.client import ApiUrl, Client, Json
from cli.exits import Interrupted
from cli.outcomes import counts, judge, save_rejects, wait_until_over
from cli.patience import Patience
from cli.progress import shown_progress
from cli.sending import Sending
from cli.sources import Source
from cli.stack import running_url
from cli.tables import as_json, json_option

_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_EXIT_CODES = """\b
Exit codes beside 0:
  1    FILE as a whole is not acceptable, or the import was canceled
  2    wrong usage
  3    some rows were rejected, or failed
  4    the token does not suffice
  75   try again later: what was sent stays
  130  interrupted: what was sent stays
"""


@click.command("import", epilog=_EXIT_CODES)
@click.argument("file", type=click.File("rb"))
@click.option("--format", "format_", type=click.Choice(["csv", "ndjson"]), help="By default as FILE's ending says.")
@click.option("--dry-run", is_flag=True, help="Only check the rows; create nothing.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows go that are not acceptable; FILE.rejects.csv or .ndjson by default.",
)
@click.option("--no-wait", is_flag=True, help="Return when all rows are taken; they are executed later.")
@click.option("--url", type=ApiUrl(), default=running_url, help="The API. BATON_URL, or the running one by default.")
@click.option("--token", envvar="BATON_TOKEN", show_envvar=True, help="The demo person's by default.")
@json_option
def import_(
    file: BufferedReader,
    format_: str | None,
    dry_run: bool,
    rejects: Path | None,
    no_wait: bool,
    url: str,
    token: str | None,
    json: bool,
) -> None:
    """Create a task for each row of FILE, and wait until all are executed.

    FILE is CSV whose first line names the columns, or has a JSON object on each line (NDJSON); - is standard input.
    After an interruption the same command goes on where it was. Rows that were taken before are not taken twice.

    Prints the counts. Rows that are not acceptable go into FILE.rejects.csv, to be mended and imported; of rows that
    failed the audit trail says why.
    """
    written_as = format_ or _FORMATS.get(Path(file.name).suffix.lower())
    if written_as is None:
        raise click.BadParameter("FILE's ending does not tell: name csv or ndjson.", param_hint="--format")
    source = Source(file)
    with closing(Client(url, token)) as client, shown_progress() as progress:
        patience = Patience(progress.note)
        sending = Sending(client, patience, progress, source, written_as, dry_run=dry_run)
        try:
            known = sending.run()
            if known["rejected"]:
                rejects = rejects or _beside(source, known)
                save_rejects(client, patience, known, rejects)
            if not no_wait:
                known = wait_until_over(client, patience, progress, known)
        except KeyboardInterrupt:
            raise Interrupted(_how_to_go_on(source, sending.known)) from None
    click.echo(as_json(known) if json else counts(known))
    judge(known, rejects)


def _beside(source: Source, known: Json) -> Path:
    """Return where rejects go: beside the file, or, of a stream, into the working folder."""
    stem = known["id"] if source.is_stream else source.name
    return Path(f"{stem}.rejects.{known['format']}")


def _how_to_go_on(source: Source, known: Json | None) -> str:
    kept = f"{known['id']} keeps what arrived, and its rows are executed" if known else "What arrived is kept"
    how = "send all of it again: no row is taken twice" if source.is_stream else "the same command goes on where it was"
    end = f"; POST /v1/imports/{known['id']}/cancel ends it" if known else ""
    return f"Interrupted. {kept}. To go on, {how}{end}."
