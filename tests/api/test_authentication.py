import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest
from psycopg import AsyncConnection

from api.authentication import Authenticator
from core.breaker import Breaker
from core.errors import Unauthorized
from core.reader import Reader
from core.settings import Settings

T = TypeVar("T")


class CountingReader(Reader):
    asked = 0

    async def run(self, query: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        self.asked += 1
        return await super().run(query)


@pytest.fixture
async def reader(settings: Settings) -> AsyncIterator[CountingReader]:
    reader = CountingReader(settings, Breaker(settings))
    yield reader
    await reader.close()


@pytest.fixture
def authenticator(reader: CountingReader) -> Authenticator:
    return Authenticator(reader, remember_seconds=0)


async def test_calls_that_come_at_once_have_their_token_looked_up_once(
    authenticator: Authenticator, reader: CountingReader, token: str, tenant: str
) -> None:
    callers = await asyncio.gather(*(authenticator.authenticate(f"Bearer {token}") for _ in range(50)))

    assert {caller.tenant_id for caller in callers} == {tenant}
    assert reader.asked == 1


async def test_calls_that_come_at_once_with_an_unknown_token_are_all_refused(
    authenticator: Authenticator, reader: CountingReader
) -> None:
    answers = await asyncio.gather(
        *(authenticator.authenticate("Bearer baton_unknown") for _ in range(50)), return_exceptions=True
    )

    assert {type(answer) for answer in answers} == {Unauthorized}
    assert reader.asked == 1


async def test_a_call_that_hangs_up_takes_its_caller_from_nobody_else(
    authenticator: Authenticator, token: str, tenant: str
) -> None:
    first, second = (asyncio.create_task(authenticator.authenticate(f"Bearer {token}")) for _ in range(2))
    await asyncio.sleep(0)  # both ask
    first.cancel()

    assert (await second).tenant_id == tenant
    assert first.cancelled()


async def test_a_look_up_is_not_shared_with_those_who_come_later(
    authenticator: Authenticator, reader: CountingReader, token: str
) -> None:
    for _ in range(2):
        await authenticator.authenticate(f"Bearer {token}")

    assert reader.asked == 2
