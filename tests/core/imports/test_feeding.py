"""Rows are sent a few messages at a time, counted as they are executed, and never lost."""

import pytest

from core.db import connect
from core.imports.feeding import unfinished_imports
from core.imports.model import Import
from core.reconciler import reconcile
from core.settings import Settings
from core.tasks.commands import CreateTask
from core.tenancy.model import Caller
from tests.core.imports.importing import Importing, rows
from tests.workspaces import Workspace

_WINDOW = {"import_window": 4, "execution_batch": 10}


@pytest.fixture
def small(importing: Importing) -> Importing:
    """Imports of which forty rows are in flight at most."""
    return importing.with_settings(**_WINDOW)


def _age(importing: Importing, known: Import, **columns: str) -> None:
    """Make an import's mark, or its last rows, an hour old."""
    for column in columns:
        importing.workspace.connection.execute(
            f"UPDATE imports SET {column} = now() - interval '1 hour' WHERE id = %s",
            [known.id],
        )


def test_every_row_is_executed_in_the_order_of_the_file(small: Importing) -> None:
    known = small.finish(small.receive(rows(95)))

    assert known.state == "completed"
    assert (known.rows, known.succeeded, known.queued) == (95, 95, 0)
    titles = [task.title for task in small.workspace.tasks()]
    assert sorted(titles) == sorted(f"Task {number}" for number in range(95))
    events = small.workspace.events()
    assert [event.target_id for event in events] == [task.id for task in small.workspace.tasks()]


def test_a_few_messages_are_in_flight_and_the_rest_waits(small: Importing) -> None:
    known = small.receive(rows(200))

    for _ in range(3):
        small.feed(known)
        assert len(small.in_flight()) == 40

    small.execute()
    small.feed(known)
    assert len(small.in_flight()) == 40
    assert small.get(known).succeeded == 40


def test_imports_of_two_workspaces_take_turns(small: Importing, settings: Settings, stranger: Caller) -> None:
    other = Importing(small.settings, Workspace(settings, small.workspace.connection, stranger), small.lanes)
    mine, theirs = small.receive(rows(200)), other.receive(rows(200))

    small.feed(mine)
    other.feed(theirs)

    assert (len(small.in_flight()), len(other.in_flight())) == (40, 40)


def test_rows_whose_execution_fails_are_counted_as_failed(small: Importing) -> None:
    known = small.receive(b"title,related_resource_type,related_resource_id\nOne,contact,con_nobody\nTwo,,\n")

    over = small.finish(known)

    assert (over.succeeded, over.failed, over.state) == (1, 1, "completed")


def test_counts_are_true_before_anybody_adds_them_up(small: Importing) -> None:
    known = small.receive(rows(20))
    small.feed(known)
    small.execute()

    assert (small.get(known).succeeded, small.get(known).queued) == (20, 0)


def test_rows_are_executed_while_later_ones_are_still_received(small: Importing) -> None:
    known = small.upload(small.begin(), rows(50)[:200], cut=True)
    small.feed(known)
    small.execute()

    now = small.get(known)
    assert now.state == "receiving"
    assert now.succeeded == now.rows > 0


def test_rows_whose_message_was_lost_are_the_reconcilers(small: Importing) -> None:
    known = small.receive(rows(60))
    small.feed(known)
    lost = small.in_flight()
    small.lanes.clear()

    small.feed(known)
    assert small.in_flight() == []  # they may be late as well as lost
    _age(small, known, marked_at="")
    small.feed(known)  # marks what was sent until now
    _age(small, known, marked_at="")
    small.feed(known)  # none of it is in the lane any more
    reconcile(small.workspace.connection, small.settings)

    assert small.in_flight() == lost
    assert small.finish(known).succeeded == 60


def test_rows_that_merely_wait_in_the_lane_are_left_alone(small: Importing) -> None:
    known = small.receive(rows(60))
    small.feed(known)
    waiting = small.in_flight()

    for _ in range(3):
        # Sent at the time of the mark: behind it in time, still before it in the lane.
        small.workspace.connection.execute("UPDATE imports SET marked_at = now() WHERE id = %s", [known.id])
        small.feed(known, resend_after=0.001)
        reconcile(small.workspace.connection, small.settings)

    assert small.in_flight() == waiting


def test_a_canceled_import_withdraws_what_is_not_executed(small: Importing) -> None:
    known = small.receive(rows(100))
    small.feed(known)
    small.execute()
    small.feed(known)
    small.cancel(known)

    over = small.finish(known)
    small.execute()

    assert over.state == "canceled"
    assert (over.succeeded, over.canceled, over.queued) == (40, 60, 0)
    assert len(small.workspace.tasks()) == 40


def test_the_file_of_a_canceled_import_can_be_sent_again(small: Importing) -> None:
    known = small.receive(rows(100))
    small.cancel(known)
    small.finish(known)

    again = small.finish(small.receive(rows(100)))

    assert (again.replayed, again.succeeded) == (0, 100)


def test_a_row_that_is_being_executed_is_not_withdrawn(small: Importing, settings: Settings) -> None:
    known = small.receive(rows(3))
    small.feed(known)
    with connect(settings) as worker, worker.transaction():
        worker.execute("SELECT FROM requests WHERE import_id = %s AND import_line = 2 FOR UPDATE", [known.id])
        small.cancel(known)
        small.feed(known)
        assert small.get(known).finished_at is None

    assert small.finish(known).canceled == 3


def test_an_upload_that_is_never_finished_is_given_up_and_what_came_is_executed(small: Importing) -> None:
    known = small.upload(small.begin(), rows(50)[:200], cut=True)
    _age(small, known, touched_at="")

    over = small.finish(known)

    assert over.state == "failed"
    assert "Send the file again" in (over.error or "")
    assert over.succeeded == over.rows > 0


def test_two_feeders_at_once_send_nothing_twice(small: Importing, settings: Settings) -> None:
    known = small.receive(rows(100))
    with connect(settings, worker=True) as other, other.transaction():
        other.execute("SELECT FROM imports WHERE id = %s FOR UPDATE", [known.id])
        small.feed(known)
        assert small.in_flight() == []

    small.feed(known)
    assert len(set(small.in_flight())) == len(small.in_flight()) == 40


def test_an_import_is_found_by_maintenance_until_it_is_over(small: Importing) -> None:
    known = small.receive(rows(5))
    named = small.workspace.tenant_id, known.id

    assert named in unfinished_imports(small.workspace.connection)
    small.finish(known)
    assert named not in unfinished_imports(small.workspace.connection)


def test_an_interactive_write_is_in_no_import(small: Importing) -> None:
    known = small.receive(rows(5))
    (receipt,) = small.workspace.accept(CreateTask(title="Mine"))
    small.workspace.execute(receipt)

    assert small.get(known).succeeded == 0
