"""What the commands of activities do. Pure: everything comes in as an argument, nothing is read or written."""

from core.activity.commands import LogActivity
from core.activity.model import Activity
from core.errors import ResourceNotFound
from core.handlers import Context, Decision, State, handles
from core.ids import sibling_id


@handles(LogActivity)
def log_activity(command: LogActivity, state: State, context: Context) -> Decision:
    """Make an activity.

    Raises:
        ResourceNotFound: the resource or the task is not in this workspace.

    """
    for type_, id_ in command.references():
        if not state.exists(context.tenant_id, (type_, id_)):
            message = f"There is no {type_} {id_} in this workspace."
            raise ResourceNotFound(message)
    members = {"occurred_at": context.now} | command.model_dump(exclude_unset=True)
    return Decision(
        Activity(
            id=sibling_id("act", context.request_id),
            tenant_id=context.tenant_id,
            source=context.source,
            actor_id=context.actor.id,
            actor_type=context.actor.type,
            actor_name=context.actor.name,
            created_at=context.now,
            **members,
        )
    )
