"""Peer (a), the ceiling: a FastAPI endpoint that validates the same command and does nothing; it asks for no token."""

from fastapi import FastAPI

from api.views import Accepted, TaskReference
from core.ids import new_id
from core.tasks.commands import CreateTask

api = FastAPI()


@api.post("/v1/tasks", status_code=202)
async def create_task(command: CreateTask) -> Accepted:
    del command
    return Accepted(task=TaskReference(id=new_id("task")), request_id=new_id("req"))
