import json
import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from cli.exits import Failure
from cli.files import only_one, write_env, write_secret


def test_a_secret_is_readable_by_its_owner_only_even_where_the_old_file_was_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text("old")
    file.chmod(0o644)
    write_secret(file, json.dumps({"a": 1}))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


def test_an_env_file_gives_its_values_back(tmp_path: Path) -> None:
    values = {"BATON_DATABASE_URL": "postgresql://u:p'\\\"#@h/d?options=-c%20a", "BATON_HOST": "::1"}
    write_env(tmp_path / "env", values)
    assert dotenv_values(tmp_path / "env") == values


def test_one_home_is_for_one_stack_at_a_time(tmp_path: Path) -> None:
    home = tmp_path / "a home" / "that is not there yet"
    with only_one(home), pytest.raises(Failure, match=f"as process {os.getpid()}"), only_one(home):
        pass
    with only_one(home):
        pass


def test_a_home_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot be used"), only_one(tmp_path / "file" / "home"):
        pass
