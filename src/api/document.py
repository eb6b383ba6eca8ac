"""`python -m api.document` prints the OpenAPI document as it is committed in docs/openapi.json."""

import click
import orjson
from pydantic import PostgresDsn, RedisDsn

from api.app import create_app
from core.settings import Settings


@click.command()
def main() -> None:
    """Print the document; no server is asked for it."""
    nowhere = Settings(database_url=PostgresDsn("postgresql://nowhere/none"), redis_url=RedisDsn("redis://nowhere"))
    click.echo(orjson.dumps(create_app(nowhere).openapi(), option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
