import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from psycopg import AsyncConnection

import api.authentication
from api.authentication import Authenticator
from core.breaker import Breaker
from core.errors import Unauthorized
from core.reader import Reader
from core.settings import Settings
from core.tenancy.queries import secret_hash
from tests.api.conftest import MakeToken

T = TypeVar("T")


class CountingReader(Reader):
    asked = 0
    delay = 0.0

    async def run(self, query: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        self.asked += 1
        found = await super().run(query)
        await asyncio.sleep(self.delay)
        return found


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


async def test_a_token_that_is_remembered_is_not_looked_up_again(
    reader: CountingReader, token: str, tenant: str
) -> None:
    authenticator = Authenticator(reader, remember_seconds=60)
    for _ in range(3):
        assert (await authenticator.authenticate(f"Bearer {token}")).tenant_id == tenant

    assert reader.asked == 1


async def test_a_token_is_remembered_from_the_question_on_since_it_may_be_revoked_before_the_answer(
    reader: CountingReader, token: str
) -> None:
    reader.delay = 1.0
    authenticator = Authenticator(reader, remember_seconds=0.9)
    for _ in range(2):
        await authenticator.authenticate(f"Bearer {token}")

    assert reader.asked == 2


async def test_a_token_that_is_remembered_expires_at_its_instant(reader: CountingReader, make_token: MakeToken) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    token = make_token(expires_at=expires_at)
    authenticator = Authenticator(reader, remember_seconds=60)
    while datetime.now(UTC) < expires_at:
        with contextlib.suppress(Unauthorized):  # where the instant came in between
            await authenticator.authenticate(f"Bearer {token}")
        await asyncio.sleep(0.01)

    with pytest.raises(Unauthorized, match="expired"):
        await authenticator.authenticate(f"Bearer {token}")
    assert reader.asked == 1


async def test_unknown_tokens_leave_nothing_behind(reader: CountingReader) -> None:
    authenticator = Authenticator(reader, remember_seconds=60)
    for number in range(50):
        with pytest.raises(Unauthorized):
            await authenticator.authenticate(f"Bearer baton_unknown{number}")

    assert not authenticator._remembered
    assert not authenticator._pending


async def test_of_more_tokens_than_are_remembered_the_oldest_are_looked_up_again(
    reader: CountingReader, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.authentication, "_MOST_REMEMBERED", 3)
    authenticator = Authenticator(reader, remember_seconds=60)
    tokens = [make_token() for _ in range(4)]
    for token in tokens:
        await authenticator.authenticate(f"Bearer {token}")
    for token in reversed(tokens[1:]):
        await authenticator.authenticate(f"Bearer {token}")
    assert reader.asked == 4

    await authenticator.authenticate(f"Bearer {tokens[0]}")

    assert reader.asked == 5
    assert len(authenticator._remembered) == 3


async def test_no_secret_is_kept(reader: CountingReader, token: str) -> None:
    authenticator = Authenticator(reader, remember_seconds=60)
    await authenticator.authenticate(f"Bearer {token}")

    assert list(authenticator._remembered) == [secret_hash(token)]
