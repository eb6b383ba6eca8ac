"""Peer (c): FastAPI and SQLAlchemy; the rows are committed before the answer."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from api.views import Accepted, TaskReference
from bench.peers.rows import three_rows
from core.ids import new_id
from core.settings import load_settings
from core.tasks.commands import CreateTask

engine = create_engine(str(load_settings().database_url))
api = FastAPI()


def open_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@api.post("/v1/tasks", status_code=201)
def create_task(command: CreateTask, session: Annotated[Session, Depends(open_session)]) -> Accepted:
    task_id = new_id("task")
    session.add_all(three_rows(command, task_id))
    session.commit()
    return Accepted(task=TaskReference(id=task_id), request_id=new_id("req"))
