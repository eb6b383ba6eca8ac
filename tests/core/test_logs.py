"""Log lines, in a process of their own: configuring them is for a whole process."""

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import logging
import structlog
from core.logs import configure_logs

configure_logs("{format}", "{level}")
log = structlog.get_logger("core.here")
log.debug("too_quiet")
log.info("batch_executed", requests=3, note="two words")
secret = "hunter2"
try:
    raise ValueError("boom")
except ValueError:
    log.exception("handler_crashed", request_id="req_1")
logging.getLogger("elsewhere").warning("a library says %s", "hello")
logging.getLogger("celery.app.trace").info("chatter")
"""


def _lines(log_format: str, level: str = "INFO") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(format=log_format, level=level)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_logs_are_one_object_a_line_with_their_facts_as_members() -> None:
    executed, crashed, library = [json.loads(line) for line in _lines("json")]

    assert (executed["event"], executed["requests"], executed["level"]) == ("batch_executed", 3, "info")
    assert (crashed["event"], crashed["request_id"], crashed["level"]) == ("handler_crashed", "req_1", "error")
    assert "ValueError: boom" in crashed["exception"]
    assert (library["event"], library["level"]) == ("a library says hello", "warning")
    assert all(line["timestamp"].endswith("Z") for line in (executed, crashed, library))


def test_text_logs_are_one_line_each() -> None:
    executed, *_ = lines = _lines("text")

    assert len(lines) == 3
    assert 'event=batch_executed requests=3 note="two words"' in executed


def test_the_values_of_variables_are_not_logged() -> None:
    for log_format in ("text", "json"):
        assert "hunter2" not in "\n".join(_lines(log_format))


@pytest.mark.parametrize(("level", "count"), [("DEBUG", 4), ("WARNING", 2), ("ERROR", 1)])
def test_a_level_leaves_out_what_is_below_it(level: str, count: int) -> None:
    assert len(_lines("json", level)) == count
