"""What the peers write fits the tables, whose form is Baton's to change."""

from typing import Any

from psycopg import Connection
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from bench.peers import plain_sql
from bench.peers.rows import three_rows
from core.ids import new_id
from core.settings import Settings
from core.tasks.commands import CreateTask


def test_the_three_rows_of_the_object_relational_peers_can_be_written(settings: Settings) -> None:
    engine = create_engine(str(settings.database_url).replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        session.add_all(three_rows(CreateTask(title="Call Jane"), new_id("task")))
        session.flush()
        session.rollback()
    engine.dispose()


def test_the_statements_of_the_peer_in_plain_sql_write_a_row_of_each_table(connection: Connection[Any]) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(plain_sql.STAGE)
        connection.execute("INSERT INTO staging (title) VALUES ('Call Jane')")
        for statement in (plain_sql.TASKS, plain_sql.REQUESTS, plain_sql.EVENTS):
            assert connection.execute(statement.encode()).rowcount == 1
