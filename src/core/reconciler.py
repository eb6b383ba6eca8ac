"""The reconciler: the only redelivery. Sends queued requests again whose message must have been lost.

A message is lost when it was sent a while ago and its lane holds none that was sent before it: lanes are first in,
first out, so what waits behind others is merely late. Two rounds at once are safe: rows are claimed with SKIP LOCKED,
which passes over those that a worker is executing as well.
"""

from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, LiteralString

import structlog
from psycopg import Connection

from core.publisher import Sendable, messages
from core.queue import LANES, Lane, oldest_waiting, publish
from core.settings import Settings

log = structlog.get_logger(__name__)

# After how many sends a request is suspected of killing its worker, and from then on runs alone. Each has a message of
# its own, and whoever receives that waits for the row until the last one of the claim is sent: a round takes few.
_SUSPECT_AFTER = 2
_MOST_SUSPECTS = 100
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
            AND (sends >= {_SUSPECT_AFTER}) = %(alone)s
            AND sent_at < now() - make_interval(secs => least(%(resend_after)s * (1 + sends), {_LONGEST_WAIT}))
        ORDER BY sent_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) AS lost
    WHERE (r.tenant_id, r.id) = (lost.tenant_id, lost.id)
    RETURNING r.tenant_id, r.id, r.sent_at, r.seq
"""


def reconcile(connection: Connection[Any], settings: Settings) -> int:
    """Run one round over every lane; return how many requests were sent again.

    Raises:
        psycopg.Error: the database failed.
        queue.BROKER_ERRORS: the broker did not take a message; nothing that was claimed with it counts as sent.

    """
    return sum(_reconcile_lane(connection, lane, settings) for lane in LANES)


def _reconcile_lane(connection: Connection[Any], lane: Lane, settings: Settings) -> int:
    waiting = oldest_waiting(lane) or _NEVER
    lost = {"lane": lane, "oldest_waiting": waiting, "resend_after": settings.resend_after}
    batches, suspects = {"alone": False, "limit": settings.reconcile_batch}, {"alone": True, "limit": _MOST_SUSPECTS}
    sent = _send_again(connection, lost | batches, settings.execution_batch)
    sent += _send_again(connection, lost | suspects, 1)
    if sent:
        log.warning("requests_sent_again", lane=lane, requests=sent)
    return sent


def _send_again(connection: Connection[Any], claim: dict[str, Any], size: int) -> int:
    """Claim what is lost and send it, `size` requests to a message; return how many these are."""
    with connection.transaction():
        claimed = connection.execute(_CLAIM, claim).fetchall()
        claimed.sort(key=itemgetter(3))
        sendables: list[Sendable] = [(claim["lane"], tenant_id, id_, sent_at) for tenant_id, id_, sent_at, _ in claimed]
        # Published before the claim is committed: what the broker refuses is not counted as sent.
        for lane, batch, sent_at in messages(sendables, size):
            publish(lane, batch, sent_at=sent_at, alone=claim["alone"])
    return len(claimed)
