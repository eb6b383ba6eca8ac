from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from psycopg import Connection

from core.execution import Executed
from core.queue import Batch
from core.settings import Settings
from core.tasks.commands import CreateTask, UpdateTask
from core.tenancy.model import Caller
from tests.concurrency import at_once, patient_worker
from tests.workspaces import Workspace


def test_a_hundred_concurrent_deliveries_of_one_message_apply_once(workspace: Workspace) -> None:
    (created,) = workspace.accept(CreateTask(title="Call Jane"))
    receipts = [created, *workspace.update(created.target_id, "completed", "open", "canceled")]
    with ExitStack() as stack:
        connections = [stack.enter_context(patient_worker(workspace.settings)) for _ in range(100)]

        results = at_once([partial(workspace.execution(each).run, workspace.batch(*receipts)) for each in connections])

    assert sum(len(result.finished) for result in results) == 4
    assert all(not result.left for result in results)
    assert workspace.task(created.target_id).revision == 4
    assert [event.new_status for event in workspace.events()] == ["open", "completed", "open", "canceled"]
    assert [workspace.request(receipt).attempts for receipt in receipts] == [1, 1, 1, 1]


def test_a_message_brings_the_whole_line_of_the_tasks_that_it_names(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, "completed", "open", "canceled")

    workspace.execute(receipts[1])

    assert workspace.statuses(receipts) == ["succeeded"] * 3
    assert workspace.task(task_id).status == "canceled"


def test_a_task_that_is_not_named_is_left_alone(workspace: Workspace) -> None:
    named, other = workspace.create(), workspace.create()
    (wanted,), (unnamed,) = workspace.update(named, "completed"), workspace.update(other, "completed")

    workspace.execute(wanted)

    assert workspace.statuses([wanted, unnamed]) == ["succeeded", "queued"]


def test_the_limit_takes_the_first_in_line_and_leaves_the_rest(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, "completed", "open", "canceled", "open", "completed")

    executed = workspace.execution(limit=2).run(workspace.batch(*receipts))

    assert [request.id for request in executed.finished] == [receipt.request_id for receipt in receipts[:2]]
    assert executed.left == workspace.batch(*receipts[2:])
    assert workspace.statuses(receipts) == ["succeeded"] * 2 + ["queued"] * 3


def test_what_a_limit_left_is_finished_by_the_messages_that_follow(workspace: Workspace) -> None:
    created = workspace.accept(*[CreateTask(title=f"Task {number}") for number in range(3)])
    lines = [workspace.update(each.target_id, "completed", "open", "canceled") for each in created]
    receipts = [*created, *(receipt for line in lines for receipt in line)]
    left: Batch = workspace.batch(*receipts)
    rounds = 0

    while left:
        left = workspace.execution(limit=5).run(left).left
        rounds += 1

    assert rounds == 3
    assert set(workspace.statuses(receipts)) == {"succeeded"}
    assert [task.status for task in workspace.tasks()] == ["canceled"] * 3


def test_a_line_longer_than_the_limit_drains_from_its_head_whichever_request_is_named(workspace: Workspace) -> None:
    task_id = workspace.create()
    receipts = workspace.update(task_id, *["completed", "open"] * 4)

    executed = workspace.execution(limit=3).run(workspace.batch(receipts[7]))

    assert [request.id for request in executed.finished] == [receipt.request_id for receipt in receipts[:3]]
    assert executed.left == workspace.batch(receipts[7])


def test_one_message_may_carry_several_tenants(workspace: Workspace, stranger: Caller) -> None:
    elsewhere = Workspace(workspace.settings, workspace.connection, stranger)
    (here,), (there,) = workspace.accept(CreateTask(title="Here")), elsewhere.accept(CreateTask(title="There"))

    workspace.execution().run({**workspace.batch(here), **elsewhere.batch(there)})

    assert workspace.task(here.target_id).title == "Here"
    assert elsewhere.task(there.target_id).title == "There"


def test_a_request_named_under_another_tenant_is_not_executed(workspace: Workspace, stranger: Caller) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))

    executed = workspace.execution().run({stranger.tenant_id: [receipt.request_id]})

    assert executed == Executed([], {})
    assert workspace.statuses([receipt]) == ["queued"]


def test_a_message_of_finished_and_unknown_requests_does_nothing(workspace: Workspace) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    workspace.execute(receipt)
    before = workspace.request(receipt)

    executed = workspace.execution().run({workspace.tenant_id: [receipt.request_id, "req_unknown"]})

    assert executed == Executed([], {})
    assert workspace.request(receipt) == before


def test_an_empty_message_does_nothing(workspace: Workspace) -> None:
    assert workspace.execution().run({}) == Executed([], {})


def test_state_event_and_status_are_one_transaction(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (receipt,) = workspace.accept(CreateTask(title="Call Jane"))
    monkeypatch.setattr("core.execution.finish_requests", fail)

    with pytest.raises(KeyboardInterrupt):
        workspace.execution().run(workspace.batch(receipt))

    assert workspace.statuses([receipt]) == ["queued"]
    assert workspace.tasks() == []
    assert workspace.events() == []


def test_the_receipt_tells_the_audit_event_that_finishing_recorded(workspace: Workspace) -> None:
    applied, failed = workspace.accept(CreateTask(title="Call Jane"), UpdateTask(task_id="task_none"))
    assert workspace.request(applied).audit_event_id is None

    workspace.execute(applied, failed)

    for receipt in (applied, failed):
        assert workspace.request(receipt).audit_event_id == workspace.event(receipt).id


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_both_lanes_execute_alike(workspace: Workspace, lane: str) -> None:
    (receipt,) = workspace.accept(CreateTask(title="Call Jane"), lane=lane)

    workspace.execute(receipt)

    assert workspace.statuses([receipt]) == ["succeeded"]


def test_two_tenants_may_have_tasks_of_one_id(
    settings: Settings, workspace: Workspace, connection: Connection[Any], stranger: Caller
) -> None:
    elsewhere = Workspace(settings, connection, stranger)
    task_id = workspace.create("Here")
    connection.execute(
        "INSERT INTO tasks SELECT (r).* FROM ("
        " SELECT jsonb_populate_record(t, jsonb_build_object('tenant_id', %s::text)) AS r"
        " FROM tasks t WHERE (tenant_id, id) = (%s, %s)) AS copy",
        (stranger.tenant_id, workspace.tenant_id, task_id),
    )

    workspace.execute(*workspace.update(task_id, "completed"))

    assert workspace.task(task_id).status == "completed"
    assert elsewhere.task(task_id).status == "open"
