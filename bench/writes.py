"""The figures of writes: accepted, executed, waited for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench.contenders import CELERY, NOTHING, PROCRASTINATE, SYNCHRONOUS, Contender, baton, peer
from bench.figures import Figure, Goal, Plan, compare
from bench.stage import Stage

_BATCH, _BATCH_CONNECTIONS = 1_000, 4


def accept(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Each connection posts one task after the other; what counts is the answers. Nothing is executed meanwhile.

    Baton executes between the rounds, off the clock; (b) has no worker here, and its messages wait in Valkey.
    """
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(baton(stage)),
            stack.enter_context(peer(stage, NOTHING)),
            stack.enter_context(peer(stage, CELERY, worker=False)),
            stack.enter_context(peer(stage, SYNCHRONOUS)),
        ]

        def measure(contender: Contender) -> float:
            with contender.serving():
                done = contender.take(contender.creation(), connections=plan.connections, seconds=plan.seconds)
                with contender.executing():
                    contender.wait_until_executed()
            return done.rate

        samples = compare(plan, contenders, measure)
    goals = {NOTHING.title: Goal(0.7), CELERY.title: Goal(3), SYNCHRONOUS.title: Goal(3)}
    yield Figure("accepted, single POSTs", "writes/s", samples, goals)


def sustain(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Each connection posts one task after the other while workers execute.

    What counts is all that was accepted, over the time from the first request until the last of it was executed.
    Two worker processes of each, but for (d): one process with ten jobs at a time.
    """
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(baton(stage)),
            *(stack.enter_context(peer(stage, kind)) for kind in (CELERY, PROCRASTINATE)),
        ]

        def measure(contender: Contender) -> float:
            with contender.serving(), contender.executing():
                began = time.perf_counter()
                done = contender.take(contender.creation(), connections=plan.connections, seconds=plan.seconds)
                contender.wait_until_executed()
                return done.answers / (time.perf_counter() - began)

        samples = compare(plan, contenders, measure)
    yield Figure(
        "accepted and executed, single POSTs",
        "writes/s",
        samples,
        {CELERY.title: Goal(8), PROCRASTINATE.title: Goal(8)},
    )


def drain(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """One worker process finds a full queue; what counts is its writes, over the time until all are executed."""
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(baton(stage, workers=1, others=0)),
            stack.enter_context(peer(stage, CELERY, options="--concurrency 1")),
        ]

        def measure(contender: Contender) -> float:
            with contender.serving():
                done = contender.take(contender.creation(), connections=plan.connections, seconds=plan.seconds)
            began = time.perf_counter()
            with contender.executing():
                contender.wait_until_executed()
            return done.answers / (time.perf_counter() - began)

        samples = compare(plan, contenders, measure)
    yield Figure("executed from a full queue, one worker", "writes/s", samples, {CELERY.title: Goal(40)})


def batch(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """Baton's connections, four of them, each post 1,000 tasks in a batch, and another 1,000; (b) is sent one by one.

    What counts is every task that was accepted, over the time from the first request until the last of them was
    executed. One worker process of Baton's executes the bulk lane; (b) has two.
    """
    with ExitStack() as stack:
        ours, celery = stack.enter_context(baton(stage)), stack.enter_context(peer(stage, CELERY))
        sent = {
            ours: (ours.batch(_BATCH), _BATCH, _BATCH_CONNECTIONS),
            celery: (celery.creation(), 1, plan.connections),
        }

        def measure(contender: Contender) -> float:
            request, writes, connections = sent[contender]
            with contender.serving(), contender.executing():
                began = time.perf_counter()
                done = contender.take(request, connections=connections, seconds=plan.seconds, writes=writes)
                contender.wait_until_executed()
                return writes * done.answers / (time.perf_counter() - began)

        samples = compare(plan, [ours, celery], measure)
    yield Figure("accepted and executed, batches of 1,000", "writes/s", samples, {CELERY.title: Goal(20)})


def wait(stage: Stage, plan: Plan) -> Iterator[Figure]:
    """One connection posts one task after the other with `Prefer: wait`: the answer comes after the execution.

    (c) answers after its commit. What counts is the median of a round.
    """
    with ExitStack() as stack:
        contenders = [stack.enter_context(baton(stage)), stack.enter_context(peer(stage, SYNCHRONOUS))]

        def measure(contender: Contender) -> float:
            with contender.serving(), contender.executing():
                return contender.take(contender.waited_creation(), connections=1, seconds=plan.seconds).median_ms

        samples = compare(plan, contenders, measure)
    goals = {SYNCHRONOUS.title: Goal(3, at_most=True)}
    yield Figure("idle latency, executed before the answer", "ms", samples, goals)
