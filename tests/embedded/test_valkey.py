from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedded import EmbeddedValkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("maxmemory", str(256 * 1024 * 1024)),
        ("bind", "127.0.0.1"),
    ],
)
def test_a_setting_has_the_value_that_baton_relies_on(valkey: EmbeddedValkey, setting: str, value: str) -> None:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        assert client.config_get(setting) == {setting: value}


def test_without_the_password_nothing_is_served(valkey: EmbeddedValkey) -> None:
    url = valkey.url.replace(f":{urlsplit(valkey.url).password}@", "")
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
        client.get("word")


def test_the_password_is_neither_among_the_arguments_nor_in_a_file_of_the_data_folder(
    valkey: EmbeddedValkey,
) -> None:
    password = str(urlsplit(valkey.url).password).encode()
    files = [path for path in valkey.data.rglob("*") if path.is_file()]
    assert files
    assert password not in Path(f"/proc/{valkey.pid}/cmdline").read_bytes()
    assert not any(password in path.read_bytes() for path in files)
