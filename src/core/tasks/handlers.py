"""What the commands of tasks do. Pure: everything comes in as an argument, nothing is read or written."""

from dataclasses import replace
from typing import Any

from core.errors import FieldError, InvalidStatusTransition, ResourceNotFound, ValidationFailed
from core.handlers import Context, Decision, State, handles
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Task


@handles(CreateTask)
def create_task(command: CreateTask, state: State, context: Context) -> Decision:
    """Make an open task.

    Raises:
        ResourceNotFound: the related resource is not in this workspace.

    """
    linked = command.linked_resource
    if linked is not None and not state.exists(context.tenant_id, linked):
        message = f"There is no {linked[0]} {linked[1]} in this workspace."
        raise ResourceNotFound(message)
    task = Task(
        id=context.target.id,
        tenant_id=context.tenant_id,
        source=context.source,
        created_at=context.now,
        updated_at=context.now,
        **command.model_dump(exclude_unset=True),
    )
    return Decision(_touched(task, context))


@handles(UpdateTask)
def update_task(command: UpdateTask, state: State, context: Context) -> Decision:
    """Move a task to the status asked for, or change the note of a completed one.

    Raises:
        ResourceNotFound: the task is not in this workspace.
        InvalidStatusTransition: completed and canceled lead to each other only by way of open.
        ValidationFailed: a note for a task that is not completed.

    """
    task = state.find(Task, context.target)
    if task is None:
        message = f"There is no task {command.task_id} in this workspace."
        raise ResourceNotFound(message)
    if command.status is None or command.status == task.status:
        return _with_note(task, command.completed_note, context)
    if "open" not in (task.status, command.status):
        message = f"A {task.status} task cannot become {command.status}. Reopen it first."
        raise InvalidStatusTransition(message, from_status=task.status, to_status=command.status)
    completed = command.status == "completed"
    return Decision(
        _changed(
            task,
            context,
            status=command.status,
            completed_note=command.completed_note,
            completed_at=context.now if completed else None,
        )
    )


def _with_note(task: Task, note: str | None, context: Context) -> Decision:
    if note is None or note == task.completed_note:
        return Decision(task, "unchanged")
    if task.status != "completed":
        raise ValidationFailed(
            [FieldError("completed_note", f"A note needs a completed task; this one is {task.status}")]
        )
    return Decision(_changed(task, context, completed_note=note), action="task.update")


def _changed(task: Task, context: Context, **values: Any) -> Task:
    return _touched(replace(task, updated_at=context.now, revision=task.revision + 1, **values), context)


def _touched(task: Task, context: Context) -> Task:
    return replace(task, last_agent_actor_id=context.actor.id) if context.actor.type == "agent" else task
