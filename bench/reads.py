"""The figures of reads: pages of tasks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import orjson

from bench import load
from bench.contenders import PAGES, TENANT, Contender, baton, peer
from bench.figures import Figure, Goal, Plan, compare
from bench.stage import Stage

_MANY, _FEW = 1_000_000, 10_000
_Page = Literal["first", "deep"]
_PAGES: tuple[_Page, ...] = ("first", "deep")

# The number in an id stands for the time in those that Baton makes: both sort in the order of their making.
_ID = "task_01{:024}"
_FILL = """
    INSERT INTO tasks (tenant_id, id, title, description, status, due_at, assignee_id, source, completed_at,
        created_at, updated_at, revision)
    SELECT %s, 'task_01' || lpad(n::text, 24, '0'), 'Follow up with Jane Doe', repeat('Annual plan. ', 4),
        CASE WHEN n %% 3 = 0 THEN 'completed' ELSE 'open' END, now() + n * interval '1 minute', 'usr_' || n %% 50,
        'api', CASE WHEN n %% 3 = 0 THEN now() END, now(), now(), 1
    FROM generate_series(%s::int, %s::int) AS n
"""


def pages(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Each connection reads one page of 50 tasks again and again; the deep page begins in the middle of the list.

    Against (f), which selects the same columns by the same index and asks for no token: the pages per second, of a
    workspace of 1,000,000 tasks. Against 10,000 tasks, in a database of their own: the median latency of one
    connection.
    """
    with ExitStack() as stack:
        many = stack.enter_context(baton(stage, workers=0, others=0))
        few = stack.enter_context(baton(stage, "Baton, 10k tasks", workers=0, others=0))
        bare = stack.enter_context(peer(stage, PAGES, place=many.place))
        requests = {many.title: _filled(many, _MANY), few.title: _filled(few, _FEW), bare.title: _bare(bare, _MANY)}

        def load_of(page: _Page, contender: Contender, connections: int) -> load.Load:
            with contender.serving():
                return load.send(requests[contender.title][page], connections=connections, seconds=plan.seconds)

        def rate(page: _Page) -> Callable[[Contender], float]:
            return lambda contender: load_of(page, contender, plan.connections).rate

        def latency(page: _Page) -> Callable[[Contender], float]:
            return lambda contender: load_of(page, contender, 1).median_ms

        for page in _PAGES:
            rates = compare(plan, [many, bare], rate(page))
            yield Figure(f"{page} page of 50 from 1M tasks", "pages/s", rates, {bare.title: Goal(0.8)})
        for page in _PAGES:
            times = compare(plan, [many, few], latency(page))
            yield Figure(f"{page} page of 50 from 1M tasks", "ms", times, {few.title: Goal(1.2, at_most=True)})


def _filled(contender: Contender, tasks: int) -> dict[_Page, load.Request]:
    """Fill the workspace and return the requests of its pages; the first page of one half is the deep one of both."""
    first = f"{contender.url}/v1/tasks?limit=50"
    contender.get_ready()
    with contender.place.connect() as connection:
        connection.execute(_FILL, (TENANT, 1, tasks // 2))
        with contender.serving():
            cursor = orjson.loads(load.send_once(load.get(first, contender.headers)))["next_cursor"]
        connection.execute(_FILL, (TENANT, tasks // 2 + 1, tasks))
        connection.execute("VACUUM ANALYZE tasks")
    deep = f"{first}&cursor={cursor}"
    return {"first": load.get(first, contender.headers), "deep": load.get(deep, contender.headers)}


def _bare(contender: Contender, tasks: int) -> dict[_Page, load.Request]:
    first = f"{contender.url}/v1/tasks?tenant_id={TENANT}&limit=50"
    deep = f"{first}&before={_ID.format(tasks // 2)}"
    return {"first": load.get(first, {}), "deep": load.get(deep, {})}
