from collections.abc import Callable, Iterator

import pytest

from core.settings import Settings
from worker.runner import Runner


@pytest.fixture
def new_runner(settings: Settings) -> Iterator[Callable[..., Runner]]:
    """Make what a worker process holds, under settings of the test; it is closed after the test."""
    made: list[Runner] = []

    def make(base: Settings = settings, **values: float) -> Runner:
        made.append(Runner(base.model_copy(update=values)))
        return made[-1]

    yield make
    for runner in made:
        runner._disconnect()
        runner._waker._redis.close()


@pytest.fixture
def runner(new_runner: Callable[..., Runner]) -> Runner:
    return new_runner()
