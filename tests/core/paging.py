"""Reading a list page by page, as a client does."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from core.paging import Page

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)


async def read_all(
    read: Callable[[A], Awaitable[Page[T]]], arguments: A, *, between: Callable[[], None] = lambda: None
) -> list[T]:
    """Follow the cursors to the end, doing something between the pages; every page but the last is full."""
    items: list[T] = []
    page = await read(arguments)
    while page.next_cursor is not None:
        assert len(page.items) == getattr(arguments, "limit", None)
        items += page.items
        between()
        rest: dict[str, Any] = {name: getattr(arguments, name) for name in arguments.model_fields_set}
        page = await read(type(arguments)(**{**rest, "cursor": page.next_cursor}))
    return items + page.items
