from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("home")) as server:
        yield server


def _show(url: str, setting: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
    assert row is not None
    return str(row[0])


def test_the_url_is_for_a_role_that_owns_the_database_and_is_no_superuser(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, current_database(), datdba = pg_roles.oid"
            " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
        ).fetchone()
        connection.execute("CREATE TABLE public.made_by_the_owner (id int)")
    assert row == ("baton", False, False, "baton", True)


def test_the_admin_url_is_for_a_superuser_of_the_same_database(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.admin_url) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
    assert row == ("baton",)
    assert _show(postgres.admin_url, "is_superuser") == "on"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "200"),
        ("client_connection_check_interval", "2s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ],
)
def test_a_setting_has_the_value_that_baton_relies_on(postgres: EmbeddedPostgres, setting: str, value: str) -> None:
    assert _show(postgres.admin_url, setting) == value


def test_the_locale_is_the_builtin_one_which_is_the_same_on_every_machine(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(
            "SELECT datlocprovider, datlocale, datcollate FROM pg_database WHERE datname = 'baton'"
        ).fetchone()
    assert row == ("b", "C.UTF-8", "C")


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url, password="wrong")


def test_trigram_search_can_be_installed_by_the_owner(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")


def test_stopping_does_not_wait_for_clients_in_a_transaction(own_home: Path) -> None:
    server = EmbeddedPostgres(own_home)
    server.start()
    with psycopg.connect(server.url) as client:
        client.execute("SELECT 1")
        server.stop()
        with pytest.raises(psycopg.OperationalError, match="terminat"):
            client.execute("SELECT 1")
    assert "database system is shut down" in server.log.read_text()


def test_the_sql_of_the_first_start_leaves_no_password_in_the_log(postgres: EmbeddedPostgres) -> None:
    passwords = {str(urlsplit(url).password) for url in (postgres.url, postgres.admin_url)}
    log = postgres.log.read_text()
    assert len(passwords) == 2
    assert not any(password in log for password in passwords)
