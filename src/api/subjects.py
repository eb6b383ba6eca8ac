"""What a command is about, as its caller is told: a task, an activity. Each kind of command has its subject."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from pydantic import TypeAdapter

from api.views import (
    Accepted,
    ActivityAccepted,
    ActivityLogged,
    ActivityReference,
    TaskChanged,
    TaskReference,
    View,
)
from core.activity.commands import LogActivity
from core.activity.queries import get_activities
from core.ids import sibling_id
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.queries import get_tasks


@dataclass(frozen=True, slots=True)
class Subject:
    """How the records of a kind are found, and what a caller is told of one.

    `answer` is the form of either answer, `accepted_example` the name of the first one's example. `own_id` returns the
    id of the record from the ids of its request and of the request's target. `accepted` and `changed` make the answers
    while the write is queued and when it was executed.
    """

    accepted_view: type[View]
    changed_view: type[View]
    answer: TypeAdapter[Any]
    accepted_example: str
    own_id: Callable[[str, str], str]
    get: Callable[[AsyncConnection[Any], str, Sequence[str]], Awaitable[Sequence[Any]]]
    accepted: Callable[[str, str], View]
    changed: Callable[[Any, str], View]


_TASK = Subject(
    accepted_view=Accepted,
    changed_view=TaskChanged,
    answer=TypeAdapter(TaskChanged | Accepted),
    accepted_example="accepted",
    own_id=lambda _request_id, target_id: target_id,
    get=get_tasks,
    accepted=lambda id_, request_id: Accepted(task=TaskReference(id=id_), request_id=request_id),
    changed=lambda task, request_id: TaskChanged(task=task, request_id=request_id),
)
_ACTIVITY = Subject(
    accepted_view=ActivityAccepted,
    changed_view=ActivityLogged,
    answer=TypeAdapter(ActivityLogged | ActivityAccepted),
    accepted_example="activity_accepted",
    own_id=lambda request_id, _target_id: sibling_id("act", request_id),
    get=get_activities,
    accepted=lambda id_, request_id: ActivityAccepted(activity=ActivityReference(id=id_), request_id=request_id),
    changed=lambda activity, request_id: ActivityLogged(activity=activity, request_id=request_id),
)

SUBJECTS: dict[str, Subject] = {CreateTask.kind: _TASK, UpdateTask.kind: _TASK, LogActivity.kind: _ACTIVITY}
"""By kind of command."""
