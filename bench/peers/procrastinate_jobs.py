"""Peer (d): FastAPI, one Procrastinate job for each write, one SQLAlchemy transaction for each job."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from procrastinate import App, PsycopgConnector
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from api.views import Accepted, TaskReference
from bench.peers.rows import three_rows
from core.ids import new_id
from core.settings import load_settings
from core.tasks.commands import CreateTask

url = str(load_settings().database_url)
engine = create_engine(url)
jobs = App(connector=PsycopgConnector(conninfo=url))


@jobs.task
def write_task(task_id: str, members: dict[str, Any]) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(three_rows(CreateTask.model_validate(members), task_id))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with jobs.open_async():
        yield


api = FastAPI(lifespan=lifespan)


@api.post("/v1/tasks", status_code=202)
async def create_task(command: CreateTask) -> Accepted:
    task_id = new_id("task")
    await write_task.defer_async(task_id=task_id, members=command.model_dump(mode="json", exclude_unset=True))
    return Accepted(task=TaskReference(id=task_id), request_id=new_id("req"))
