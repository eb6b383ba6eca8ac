"""Deciding a batch: each request's command by its handler, in order, over one identity map. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

import core.tasks.handlers  # noqa: F401 (registers the handlers of tasks)
from core.audit import AuditEvent
from core.commands import COMMANDS, Command
from core.errors import DomainError, InternalError
from core.handlers import HANDLERS, Context, Decision, State
from core.ids import sibling_id
from core.queued import Finish, QueuedRequest
from core.tasks.model import Task
from core.tenancy.model import Actor

RunsLeft = Callable[[QueuedRequest], bool]
"""Whether a request whose handler crashed may be run once more after this run."""

_CRASHED = InternalError("The command could not be executed. It was tried several times.")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one request: the task before and after, or the error that finishes it.

    `command` is None where this release cannot read it.
    """

    request: QueuedRequest
    command: Command | None
    before: Task | None
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
            task_id=request.task_id,
            previous_status=previous_status,
            new_status=decision.task.status if decision else previous_status,
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
        task = self.decision.task if self.decision else self.before
        if task is None:
            return self.command.linked_resource if self.command else None
        if task.related_resource_type is None or task.related_resource_id is None:
            return None
        return task.related_resource_type, task.related_resource_id


@dataclass(slots=True)
class Decided:
    """The verdicts of a batch in order, and the requests to run again because their handler crashed."""

    verdicts: list[Verdict] = field(default_factory=list)
    postponed: list[QueuedRequest] = field(default_factory=list)

    def changed_tasks(self) -> list[Task]:
        """Return each task that the batch made or changed, as it is in the end."""
        changed = {
            verdict.request.task: verdict.decision.task
            for verdict in self.verdicts
            if verdict.decision and verdict.decision.outcome == "applied"
        }
        return list(changed.values())


def parse(request: QueuedRequest) -> Command:
    """Return the command of a request; raises where its kind or payload is not one of this release."""
    return COMMANDS[request.command].model_validate(request.payload)


def decide(queued: Sequence[QueuedRequest], state: State, now: datetime, *, runs_left: RunsLeft) -> Decided:
    """Decide requests in order.

    A handler that raises a DomainError fails its own request. One that crashes is run again later while it has
    runs left, and with it wait the later requests of the same task; then it fails with internal_error.
    """
    decided = Decided()
    waiting: set[tuple[str, str]] = set()
    for position, request in enumerate(queued):
        if request.task in waiting:
            continue
        # A microsecond apart, so that the trail of a batch has an order by time as well.
        verdict = _decide_one(request, state, now + timedelta(microseconds=position), runs_left)
        if verdict is None:
            waiting.add(request.task)
            decided.postponed.append(request)
            continue
        decided.verdicts.append(verdict)
        if verdict.decision:
            state.tasks[request.task] = verdict.decision.task
    return decided


def refuse(request: QueuedRequest, state: State, now: datetime, error: DomainError) -> Decided:
    """Finish a request as failed without running it."""
    return Decided([Verdict(request, _readable(request), state.tasks.get(request.task), now, error=error)])


def _decide_one(request: QueuedRequest, state: State, now: datetime, runs_left: RunsLeft) -> Verdict | None:
    before = state.tasks.get(request.task)
    actor = Actor(request.actor_id, request.actor_type, request.actor_name)
    context = Context(request.tenant_id, request.task_id, actor, request.source, now)
    command: Command | None = None
    try:
        command = parse(request)
        decision = HANDLERS[type(command)](command, state, context)
    except DomainError as error:
        return Verdict(request, command, before, now, error=error)
    except Exception:
        log.exception("handler_crashed", request_id=request.id, command=request.command)
        if runs_left(request):
            return None
        return Verdict(request, command, before, now, error=_CRASHED)
    return Verdict(request, command, before, now, decision)


def _readable(request: QueuedRequest) -> Command | None:
    try:
        return parse(request)
    except Exception:  # noqa: BLE001 (whatever is wrong with it, the request must end)
        return None
