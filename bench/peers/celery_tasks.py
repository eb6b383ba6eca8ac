"""Peer (b): FastAPI, one Celery task for each write, one SQLAlchemy transaction for each task."""

from typing import Any

from celery import Celery
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from api.views import Accepted, TaskReference
from bench.peers.rows import three_rows
from core.ids import new_id
from core.settings import load_settings
from core.tasks.commands import CreateTask

settings = load_settings()
engine = create_engine(str(settings.database_url))
tasks = Celery("bench", broker=str(settings.redis_url))
api = FastAPI()


@tasks.task(ignore_result=True)
def write_task(task_id: str, members: dict[str, Any]) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(three_rows(CreateTask.model_validate(members), task_id))


@api.post("/v1/tasks", status_code=202)
def create_task(command: CreateTask) -> Accepted:
    task_id = new_id("task")
    write_task.delay(task_id, command.model_dump(mode="json", exclude_unset=True))
    return Accepted(task=TaskReference(id=task_id), request_id=new_id("req"))
