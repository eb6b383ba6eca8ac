import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from click.testing import Result

from core.db import connect_async
from core.settings import Settings
from core.tenancy.model import SCOPES, Caller
from core.tenancy.queries import get_caller
from tests.cli.commands import invoke, variables_of


@pytest.fixture
def stack(settings: Settings) -> dict[str, str]:
    return variables_of(settings)


@pytest.fixture
def tenant(stack: dict[str, str]) -> str:
    tenant_id = f"ten_{uuid4().hex}"
    assert invoke("tenant", "create", "A tenant", "--id", tenant_id, **stack).exit_code == 0
    return tenant_id


def create_token(stack: dict[str, str], tenant: str, *options: str) -> Result:
    actor = ("--actor", "agt_1", "--actor-type", "agent")
    return invoke("token", "create", "--tenant", tenant, *actor, *options, **stack)


async def caller_of(settings: Settings, secret: str) -> Caller | None:
    async with await connect_async(settings) as connection:
        return await get_caller(connection, secret)


def test_a_tenant_gets_the_id_that_it_is_given_and_is_listed(stack: dict[str, str]) -> None:
    tenant_id = f"ten_{uuid4().hex}"
    created = invoke("tenant", "create", "Ácme & Söhne", "--id", tenant_id, **stack)
    assert (created.exit_code, created.stdout) == (0, f"{tenant_id}\n")
    assert any(
        tenant_id in line and "Ácme & Söhne" in line for line in invoke("tenant", "list", **stack).stdout.splitlines()
    )
    listed = json.loads(invoke("tenant", "list", "--json", **stack).stdout)
    assert {tenant["id"]: tenant["name"] for tenant in listed}[tenant_id] == "Ácme & Söhne"


def test_without_an_id_one_is_made_from_the_name(stack: dict[str, str]) -> None:
    unique = uuid4().hex[:8]
    assert invoke("tenant", "create", f"Ácme & Söhne {unique}", **stack).stdout == f"ten_acme_sohne_{unique}\n"
    assert invoke("tenant", "create", "株式会社", **stack).stdout.startswith("ten_")


def test_a_second_tenant_with_one_id_is_refused(stack: dict[str, str], tenant: str) -> None:
    again = invoke("tenant", "create", "Another", "--id", tenant, **stack)
    assert (again.exit_code, again.stdout) == (1, "")
    assert f"There is a workspace {tenant} already" in again.stderr


@pytest.mark.parametrize("tenant_id", ["acme", "ten_", "ten_Acme", "ten_a-b", "ten_" + "a" * 61, "ten_a\n"])
def test_an_id_that_is_none_is_wrong_usage(stack: dict[str, str], tenant_id: str) -> None:
    refused = invoke("tenant", "create", "Acme", "--id", tenant_id, **stack)
    assert (refused.exit_code, refused.stdout) == (2, "")


async def test_a_secret_stands_alone_on_stdout_and_works(
    settings: Settings, stack: dict[str, str], tenant: str
) -> None:
    created = create_token(stack, tenant, "--scopes", "tasks:write, tasks:read tasks:read", "--actor-name", "Ann")
    secret = created.stdout.removesuffix("\n")
    assert secret.startswith("baton_")
    assert secret not in created.stderr
    caller = await caller_of(settings, secret)
    assert caller is not None
    assert (caller.tenant_id, caller.actor.id, caller.actor.type, caller.actor.name) == (
        tenant,
        "agt_1",
        "agent",
        "Ann",
    )
    assert caller.scopes == {"tasks:read", "tasks:write"}
    assert caller.expires_at is None


async def test_json_holds_the_secret_and_what_it_is_for(settings: Settings, stack: dict[str, str], tenant: str) -> None:
    created = json.loads(create_token(stack, tenant, "--scopes", "all", "--json").stdout)
    assert created["scopes"] == list(SCOPES)
    caller = await caller_of(settings, created["secret"])
    assert caller is not None
    assert caller.token_id == created["id"]


async def test_another_token_without_a_name_leaves_the_actors_name(
    settings: Settings, stack: dict[str, str], tenant: str
) -> None:
    create_token(stack, tenant, "--scopes", "all", "--actor-name", "Ann")
    caller = await caller_of(settings, create_token(stack, tenant, "--scopes", "all").stdout.strip())
    assert caller is not None
    assert caller.actor.name == "Ann"


@pytest.mark.parametrize(
    ("expires", "after"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_an_age_counts_from_now(stack: dict[str, str], tenant: str, expires: str, after: timedelta) -> None:
    before = datetime.now(UTC)
    created = json.loads(create_token(stack, tenant, "--scopes", "all", "--expires", expires, "--json").stdout)
    assert before + after <= datetime.fromisoformat(created["expires_at"]) <= datetime.now(UTC) + after


def test_an_instant_is_taken_with_its_offset(stack: dict[str, str], tenant: str) -> None:
    created = create_token(stack, tenant, "--scopes", "all", "--expires", "2099-01-31T02:00:00+02:00", "--json")
    assert json.loads(created.stdout)["expires_at"] == "2099-01-31T00:00:00Z"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--scopes", "tasks:read tasks:wirte", "'tasks:wirte'"),
        ("--scopes", "all tasks:read", "'all'"),
        ("--scopes", " ", "no scope"),
        ("--expires", "soon", "neither like 30d"),
        ("--expires", "2099-01-31T00:00:00", "neither like 30d"),
        ("--expires", "2020-01-31T00:00:00Z", "in the past"),
        ("--expires", "0d", "in the past"),
        ("--expires", "999999w", "neither like 30d"),
        ("--actor-type", "robot", "robot"),
    ],
)
def test_what_no_token_can_have_is_wrong_usage(
    stack: dict[str, str], tenant: str, option: str, value: str, words: str
) -> None:
    refused = create_token(stack, tenant, "--scopes", "all", option, value)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert words in refused.stderr


def test_an_actor_keeps_its_type(stack: dict[str, str], tenant: str) -> None:
    create_token(stack, tenant, "--scopes", "all")
    person = invoke(
        "token", "create", "--tenant", tenant, "--actor", "agt_1", "--actor-type", "user", "--scopes", "all", **stack
    )
    assert (person.exit_code, person.stdout) == (1, "")
    assert "agt_1 is there already, and is no user" in person.stderr


def test_a_token_of_no_tenant_is_refused(stack: dict[str, str]) -> None:
    refused = create_token(stack, "ten_nobody", "--scopes", "all")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "There is no tenant ten_nobody" in refused.stderr


async def test_a_revoked_token_speaks_for_nobody_and_is_listed_as_such(
    settings: Settings, stack: dict[str, str], tenant: str
) -> None:
    created = json.loads(create_token(stack, tenant, "--scopes", "all", "--json").stdout)
    assert invoke("token", "revoke", created["id"], **stack).exit_code == 0
    assert await caller_of(settings, created["secret"]) is None
    listed = invoke("token", "list", "--tenant", tenant, "--json", **stack).stdout
    assert created["secret"] not in listed
    (token,) = json.loads(listed)
    assert token["id"] == created["id"]
    assert token["revoked_at"] is not None
    table = invoke("token", "list", "--tenant", tenant, **stack).stdout
    assert created["id"] in table


def test_revoking_what_is_no_token_is_an_error(stack: dict[str, str]) -> None:
    assert invoke("token", "revoke", "tok_none", **stack).exit_code == 1


@pytest.mark.parametrize("command", [("tenant", "list"), ("token", "list"), ("tenant", "create", "Acme")])
def test_postgres_away_is_one_sentence_and_try_again_later(command: tuple[str, ...], stack: dict[str, str]) -> None:
    away = {**stack, "BATON_DATABASE_URL": "postgresql://baton:secret@127.0.0.1:9/baton"}
    failed = invoke(*command, **away)
    assert (failed.exit_code, failed.stdout) == (75, "")
    assert failed.stderr.startswith("Error: Postgres at 127.0.0.1:9 cannot be reached")
    assert failed.stderr.count("\n") == 1
    assert "secret" not in failed.stderr


def test_a_wrong_password_is_not_allowed(settings: Settings, stack: dict[str, str]) -> None:
    (host,) = settings.database_url.hosts()
    wrong = str(settings.database_url).replace(str(host["password"]), "wrong")
    failed = invoke("tenant", "list", **stack | {"BATON_DATABASE_URL": wrong})
    assert (failed.exit_code, failed.stdout) == (4, "")


def test_without_a_stack_the_user_is_told_how_to_get_one() -> None:
    failed = invoke("tenant", "list")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "make run" in failed.stderr
    assert "BATON_DATABASE_URL" in failed.stderr


def test_a_variable_without_a_valid_value_is_named(stack: dict[str, str]) -> None:
    failed = invoke("tenant", "list", **stack | {"BATON_REDIS_URL": "http://nowhere"})
    assert failed.exit_code == 1
    assert "BATON_REDIS_URL" in failed.stderr
