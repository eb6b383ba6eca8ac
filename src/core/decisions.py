"""Deciding a batch: each request's command by its handler, in order, over one identity map. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

import core.activity.handlers
import core.tasks.handlers  # noqa: F401 (each of these registers its handlers)
from core.audit import AuditEvent
from core.commands import COMMANDS, Command
from core.errors import DomainError, InternalError
from core.handlers import HANDLERS, Context, Decision, State
from core.ids import sibling_id
from core.queued import Finish, QueuedRequest
from core.records import Record, Target
from core.tenancy.model import Actor

RunsLeft = Callable[[QueuedRequest], bool]
"""Whether a request whose handler crashed may be run once more after this run."""

_CRASHED = InternalError("The command could not be executed. It was tried several times.")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its command, or why this release cannot read it."""

    request: QueuedRequest
    command: Command | None = None
    error: Exception | None = None

    def references(self) -> Iterator[Target]:
        """Yield what must exist for the command beside its target."""
        if self.command is not None:
            for reference in self.command.references():
                yield Target(self.request.tenant_id, *reference)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one request: its target before, and what was decided, or the error that finishes it.

    `command` is None where this release cannot read it.
    """

    request: QueuedRequest
    command: Command | None
    before: Record | None
    decided_at: datetime
    decision: Decision | None = None
    error: DomainError | None = None

    def finish(self) -> Finish:
        """Return how the request ends."""
        instance = f"/v1/requests/{self.request.id}"
        problem = self.error.problem(request_id=self.request.id, instance=instance) if self.error else None
        return Finish(self.request.tenant_id, self.request.id, self.decided_at, problem)

    def audit_event(self) -> AuditEvent:
        """Return the event that the audit trail keeps."""
        request, decision, error = self.request, self.decision, self.error
        previous_status = self.before.status if self.before else None
        after = decision.record if decision and decision.record.target == request.target else self.before
        link_type, link_id = self._linked_resource() or (None, None)
        return AuditEvent(
            tenant_id=request.tenant_id,
            id=sibling_id("aud", request.id),
            occurred_at=self.decided_at,
            action=self._action(),
            outcome=decision.outcome if decision else "failed",
            actor_id=request.actor_id,
            actor_type=request.actor_type,
            actor_name=request.actor_name,
            source=request.source,
            target_type=request.target_type,
            target_id=request.target_id,
            previous_status=previous_status,
            new_status=after.status if after else None,
            requested_status=self.command.requested_status if self.command else None,
            linked_resource_type=link_type,
            linked_resource_id=link_id,
            request_id=request.id,
            error={"code": error.code, "status": error.status, "message": error.detail} if error else None,
        )

    def _action(self) -> str:
        if self.decision and self.decision.action:
            return self.decision.action
        return self.command.action if self.command else self.request.command

    def _linked_resource(self) -> tuple[str, str] | None:
        record = self.decision.record if self.decision else self.before
        if record is not None:
            return record.linked_resource
        return self.command.linked_resource if self.command else None


@dataclass(slots=True)
class Decided:
    """The verdicts of a batch in order, and the requests to run again because their handler crashed."""

    verdicts: list[Verdict] = field(default_factory=list)
    postponed: list[QueuedRequest] = field(default_factory=list)

    def changed(self) -> list[Record]:
        """Return each record that the batch made or changed, as it is in the end."""
        changed = {
            verdict.decision.record.target: verdict.decision.record
            for verdict in self.verdicts
            if verdict.decision and verdict.decision.outcome == "applied"
        }
        return list(changed.values())


def read(request: QueuedRequest) -> Asked:
    """Read the command of a request, without judging it."""
    try:
        return Asked(request, COMMANDS[request.command].model_validate(request.payload))
    except Exception as error:  # noqa: BLE001 (whatever is wrong with it, the request must end)
        return Asked(request, error=error)


def decide(asked: Sequence[Asked], state: State, now: datetime, *, runs_left: RunsLeft) -> Decided:
    """Decide requests in order.

    A handler that raises a DomainError fails its own request. One that crashes is run again later while it has
    runs left, and with it wait the later requests of the same line; then it fails with internal_error.
    """
    decided = Decided()
    waiting: set[Target] = set()
    for position, each in enumerate(asked):
        target = each.request.target
        if target in waiting:
            continue
        # A microsecond apart, so that the trail of a batch has an order by time as well.
        verdict = _decide_one(each, state, now + timedelta(microseconds=position), runs_left)
        if verdict is None:
            waiting.add(target)
            decided.postponed.append(each.request)
            continue
        decided.verdicts.append(verdict)
        if verdict.decision:
            state.records[verdict.decision.record.target] = verdict.decision.record
    return decided


def refuse(asked: Asked, state: State, now: datetime, error: DomainError) -> Decided:
    """Finish a request as failed without running it."""
    return Decided([Verdict(asked.request, asked.command, state.records.get(asked.request.target), now, error=error)])


def _decide_one(asked: Asked, state: State, now: datetime, runs_left: RunsLeft) -> Verdict | None:
    request, command = asked.request, asked.command
    before = state.records.get(request.target)
    actor = Actor(request.actor_id, request.actor_type, request.actor_name)
    context = Context(request.id, request.target, actor, request.source, now)
    try:
        decision = _handle(asked, state, context)
    except DomainError as error:
        return Verdict(request, command, before, now, error=error)
    except Exception:
        log.exception("handler_crashed", request_id=request.id, command=request.command)
        if runs_left(request):
            return None
        return Verdict(request, command, before, now, error=_CRASHED)
    return Verdict(request, command, before, now, decision)


def _handle(asked: Asked, state: State, context: Context) -> Decision:
    if asked.command is None:
        raise asked.error or LookupError(asked.request.command)
    return HANDLERS[type(asked.command)](asked.command, state, context)
