from collections.abc import Iterator

import httpx
import pytest

from tests.functional.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running Baton with four workers; a test that breaks a part of it waits until it is whole again."""
    stack = Stack(tmp_path_factory.mktemp("a stack") / "home", workers=4)
    stack.start()
    yield stack
    assert stack.stop() == 0, stack.log.read_text()[-6000:]


@pytest.fixture
def person(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client("person") as client:
        yield client


@pytest.fixture
def agent(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client("agent") as client:
        yield client
