"""Whatever is asked of a task, in whatever order: it stays what the database and the contract allow."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

import core.tasks.handlers  # noqa: F401 (registers them)
from core.commands import Command
from core.errors import DomainError
from core.handlers import HANDLERS, Context, State
from core.records import Target
from core.tasks.commands import CreateTask, UpdateTask
from core.tasks.model import Task
from core.tenancy.model import Actor
from tests.core.tasks.deciding import AGENT, NOW, PERSON, task_of

_notes = st.sampled_from(["", "Jane replied.", "Jane called back."])
_updates = st.one_of(
    st.builds(lambda status: UpdateTask(task_id="task_1", status=status), st.sampled_from(["open", "canceled"])),
    st.builds(lambda note: UpdateTask(task_id="task_1", status="completed", completed_note=note), _notes),
    st.builds(lambda note: UpdateTask(task_id="task_1", completed_note=note), _notes),
    st.just(UpdateTask(task_id="task_1", status="completed")),
    st.just(UpdateTask(task_id="task_1")),
)
_TARGET = Target("ten_1", "task", "task_1")
_steps = st.lists(st.tuples(_updates, st.sampled_from([PERSON, AGENT])), max_size=30)


def _decide(command: Command, state: State, actor: Actor, step: int) -> Task | None:
    """Apply a command to the state; return the task, or None where it is refused."""
    context = Context("req_1", _TARGET, actor, "api", NOW + timedelta(seconds=step))
    try:
        decision = HANDLERS[type(command)](command, state, context)
    except DomainError:
        return None
    if decision.outcome == "unchanged":
        assert decision.record == state.records[_TARGET]
    state.records[_TARGET] = decision.record
    return task_of(decision)


@given(_steps)
def test_any_sequence_of_updates_keeps_the_invariants(steps: list[tuple[UpdateTask, Actor]]) -> None:
    state = State()
    before = _decide(CreateTask(title="Call Jane"), state, PERSON, 0)
    assert before is not None
    for step, (command, actor) in enumerate(steps, 1):
        task = _decide(command, state, actor, step) or before
        assert (task.completed_at is not None) == (task.status == "completed")
        assert task.completed_note is None or task.status == "completed"
        assert {before.status, task.status} != {"completed", "canceled"}
        assert task.revision - before.revision == (task != before)
        assert (task.updated_at > before.updated_at) == (task != before)
        assert (task.title, task.source, task.created_at) == (before.title, before.source, before.created_at)
        if task != before:
            assert task.last_agent_actor_id == ("agt_1" if actor is AGENT else before.last_agent_actor_id)
        before = task


@given(_steps)
def test_a_command_decided_twice_in_a_row_changes_nothing_the_second_time(
    steps: list[tuple[UpdateTask, Actor]],
) -> None:
    state = State()
    _decide(CreateTask(title="Call Jane"), state, PERSON, 0)
    for step, (command, actor) in enumerate(steps, 1):
        first = _decide(command, state, actor, step)
        second = _decide(command, state, actor, step + 1)
        if first is not None:
            assert second == first


@given(_steps)
def test_handlers_leave_the_tasks_that_they_are_given_alone(steps: list[tuple[UpdateTask, Actor]]) -> None:
    state = State()
    _decide(CreateTask(title="Call Jane"), state, PERSON, 0)
    for step, (command, actor) in enumerate(steps, 1):
        given_task = state.find(Task, _TARGET)
        assert given_task is not None
        copy = replace(given_task)
        _decide(command, state, actor, step)
        assert given_task == copy
