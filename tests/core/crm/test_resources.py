from core.crm.queries import add_resource, existing
from core.records import Target
from core.tenancy.model import Caller
from tests.workspaces import Workspace


def test_only_what_is_in_the_workspace_exists(workspace: Workspace, stranger: Caller) -> None:
    here, there = workspace.tenant_id, stranger.tenant_id
    workspace.link("contact", "con_1")
    workspace.link("deal", "deal_1")
    add_resource(workspace.connection, there, "contact", "con_2", "Joe")
    asked = {
        Target(here, "contact", "con_1"),
        Target(here, "deal", "deal_1"),
        Target(here, "deal", "con_1"),
        Target(here, "contact", "con_2"),
        Target(there, "contact", "con_1"),
        Target(there, "contact", "con_2"),
    }

    assert existing(workspace.connection, asked) == {
        Target(here, "contact", "con_1"),
        Target(here, "deal", "deal_1"),
        Target(there, "contact", "con_2"),
    }


def test_nothing_asked_is_nothing_found(workspace: Workspace) -> None:
    assert existing(workspace.connection, set()) == frozenset()


def test_adding_a_resource_again_leaves_it_as_it_is(workspace: Workspace) -> None:
    workspace.link("contact", "con_1")

    add_resource(workspace.connection, workspace.tenant_id, "contact", "con_1", "Somebody else")

    names = workspace.connection.execute(
        "SELECT name FROM resources WHERE tenant_id = %s", (workspace.tenant_id,)
    ).fetchall()
    assert names == [("Jane Doe",)]
