"""A worker moves imports on: after each of their batches, and in each round of maintenance."""

from core.imports.model import Import
from tests.core.imports.importing import Importing, rows
from tests.lanes import Lanes
from tests.workspaces import Workspace
from worker.runner import Runner


def _received(runner: Runner, workspace: Workspace, lanes: Lanes, number: int) -> tuple[Importing, Import]:
    importing = Importing(runner._settings, workspace, lanes)
    return importing, importing.receive(rows(number))


def _execute(runner: Runner, importing: Importing) -> None:
    messages = importing.lanes.messages("bulk", importing.workspace.tenant_id)
    importing.lanes.clear()
    for message in messages:
        runner.execute(message.batch, alone=False)


def test_a_round_of_maintenance_sends_the_first_rows(runner: Runner, workspace: Workspace, lanes: Lanes) -> None:
    importing, _ = _received(runner, workspace, lanes, 5)

    runner.reconcile()

    assert len(importing.in_flight()) == 5


def test_executing_rows_sends_the_next_ones(runner: Runner, workspace: Workspace, lanes: Lanes) -> None:
    importing, known = _received(runner, workspace, lanes, 3_000)
    runner.feed(workspace.tenant_id, known.id)
    first = importing.in_flight()

    _execute(runner, importing)

    assert importing.in_flight()
    assert set(first).isdisjoint(importing.in_flight())
    while importing.get(known).finished_at is None:
        _execute(runner, importing)
    assert importing.get(known).succeeded == 3_000
