"""Peer (f): the same page of tasks by raw psycopg in a bare endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Response
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from core.settings import load_settings
from core.tasks.model import TASK_COLUMNS

settings = load_settings()
pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]] = AsyncConnectionPool(
    str(settings.database_url),
    max_size=settings.read_connections,
    kwargs={"autocommit": True, "row_factory": dict_row},
    open=False,
)
page = (
    f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks"
    " WHERE tenant_id = %(tenant_id)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s"
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pool:
        yield


api = FastAPI(lifespan=lifespan)


@api.get("/v1/tasks")
async def list_tasks(tenant_id: str, limit: int, before: str = "~") -> Response:
    async with pool.connection() as connection:
        rows = await connection.execute(page, {"tenant_id": tenant_id, "before": before, "limit": limit})
        tasks = await rows.fetchall()
    return Response(orjson.dumps({"tasks": tasks, "next_cursor": tasks[-1]["id"]}), media_type="application/json")
