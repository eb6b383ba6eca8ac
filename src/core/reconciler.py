"""The reconciler: the only redelivery. Sends queued requests again whose message must have been lost.

A message is lost when it was sent a while ago and its lane holds none that was sent before it: lanes are first in,
first out, so what waits behind others is merely late. Two rounds at once are safe: rows are claimed with SKIP LOCKED,
which passes over those that a worker is executing as well.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, LiteralString

import structlog
from psycopg import Connection

from core.publisher import Sendable, messages
from core.queue import LANES, Lane, oldest_waiting, publish
from core.settings import Settings

log = structlog.get_logger(__name__)

# After how many sends a request is suspected of killing its worker, and from then on runs alone.
_SUSPECT_AFTER = 2
_NEVER = datetime.max.replace(tzinfo=UTC)

# The wait grows with each send, so that a lane which cannot keep up is not flooded; not beyond this, in seconds, so
# that what was lost again and again recovers within ten all the same.
_LONGEST_WAIT = 8.0
_CLAIM: LiteralString = f"""
    UPDATE requests r SET sent_at = now(), sends = r.sends + 1
    FROM (
        SELECT tenant_id, id FROM requests
        WHERE lane = %(lane)s AND finished_at IS NULL
            AND sent_at < least(now() - make_interval(secs => %(resend_after)s), %(oldest_waiting)s)
            AND sent_at < now() - make_interval(secs => least(%(resend_after)s * (1 + sends), {_LONGEST_WAIT}))
        ORDER BY sent_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) AS lost
    WHERE (r.tenant_id, r.id) = (lost.tenant_id, lost.id)
    RETURNING r.tenant_id, r.id, r.sent_at, r.sends, r.seq
"""


def reconcile(connection: Connection[Any], settings: Settings) -> int:
    """Run one round over every lane; return how many requests were sent again.

    Raises:
        psycopg.Error: the database failed.
        queue.BROKER_ERRORS: the broker did not take a message; what runs in batches does not count as sent then.

    """
    return sum(_reconcile_lane(connection, lane, settings) for lane in LANES)


def _reconcile_lane(connection: Connection[Any], lane: Lane, settings: Settings) -> int:
    claim = {
        "lane": lane,
        "resend_after": settings.resend_after,
        "oldest_waiting": oldest_waiting(lane) or _NEVER,
        "limit": settings.reconcile_batch,
    }
    with connection.transaction():
        claimed = connection.execute(_CLAIM, claim).fetchall()
        claimed.sort(key=itemgetter(4))
        # Published before the claim is committed: what the broker refuses is not counted as sent.
        _send(lane, [row for row in claimed if row[3] <= _SUSPECT_AFTER], settings.execution_batch)
    # One message for each takes seconds where there are many, in which whoever received one would wait for its row.
    # One more send makes no difference to a suspect.
    _send(lane, [row for row in claimed if row[3] > _SUSPECT_AFTER], 1, alone=True)
    if claimed:
        log.warning("requests_sent_again", lane=lane, requests=len(claimed))
    return len(claimed)


def _send(lane: Lane, claimed: Iterable[tuple[Any, ...]], size: int, *, alone: bool = False) -> None:
    sendables: list[Sendable] = [(lane, tenant_id, id_, sent_at) for tenant_id, id_, sent_at, *_ in claimed]
    for _, batch, sent_at in messages(sendables, size):
        publish(lane, batch, sent_at=sent_at, alone=alone)
