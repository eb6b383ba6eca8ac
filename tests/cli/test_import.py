"""`baton import` against a running API and worker: what it prints, writes and leaves, and how it ends."""

import csv
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from psycopg import Connection

from core.settings import Settings
from core.tenancy.model import SCOPES, Caller
from core.tenancy.queries import create_token
from tests.api.serving import Web, Worker
from tests.cli.commands import BATON, clean_environment, invoke, run
from tests.concurrency import wait_until

Json = dict[str, Any]

_PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    process = Worker(settings)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def web(settings: Settings, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a web process listens, and a worker executes what it accepts."""
    process = Web(settings, tmp_path_factory.mktemp("web") / "log")
    yield process.url
    process.stop()


class Importer:
    """Runs `baton import` as a person of one workspace, in a folder of its own."""

    def __init__(self, http: httpx.Client, token: str, folder: Path) -> None:
        self.variables = {"BATON_URL": str(http.base_url), "BATON_TOKEN": token}
        self.folder = folder
        self._http = http

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def run(self, *arguments: str, **variables: str) -> Result:
        return invoke("import", *arguments, **self.variables | variables)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Run it as a process of its own."""
        environment = clean_environment(**self.variables)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [BATON, "import", *arguments], env=environment, cwd=self.folder, stdout=pipe, stderr=pipe, **options
        )

    def imports(self) -> list[Json]:
        found: list[Json] = self._http.get("/v1/imports").json()["imports"]
        return found

    def begun(self) -> Json:
        """Return the one import as soon as there is one."""
        wait_until(lambda: self.imports() != [])
        return self.imports()[0]

    def titles(self) -> list[str]:
        return sorted(task["title"] for task in self._http.get("/v1/tasks", params={"limit": 100}).json()["tasks"])

    def cancel(self, known: Json) -> None:
        self._http.post(f"/v1/imports/{known['id']}/cancel").raise_for_status()


@pytest.fixture
def importer(web: str, connection: Connection[Any], person: Caller, tmp_path: Path) -> Iterator[Importer]:
    token = create_token(connection, person.tenant_id, person.actor, list(SCOPES))[1]
    with httpx.Client(base_url=web, headers={"Authorization": f"Bearer {token}"}) as http:
        yield Importer(http, token, tmp_path)


def _counts(shown: str) -> dict[str, str]:
    """Return what is printed for people, without what is none."""
    lines = [line.split() for line in shown.splitlines()]
    return {name: value for name, value in lines if value != "0" and name != "import"}


def _big(rows: int = 20_000) -> bytes:
    """Return a file that takes a while to send: 2 KB a row."""
    return b"title,description\n" + b"".join(b"Task %d,%s\n" % (row, b"x" * 2_000) for row in range(rows))


def test_each_row_becomes_a_task_and_the_counts_are_printed(importer: Importer) -> None:
    done = importer.run(importer.file("tasks.csv", b"title\nOne\nTwo\n"))

    assert done.exit_code == 0, done.stderr
    assert _counts(done.stdout) == {"state": "completed", "rows": "2", "succeeded": "2"}
    assert done.stderr == ""
    assert importer.titles() == ["One", "Two"]


@pytest.mark.parametrize("name", ["tasks.ndjson", "tasks.JSONL"])
def test_the_ending_tells_the_format_and_json_prints_the_document(importer: Importer, name: str) -> None:
    done = importer.run(importer.file(name, b'{"title": "One"}\n'), "--json")

    assert done.exit_code == 0, done.stderr
    (known,) = importer.imports()
    assert json.loads(done.stdout) == known
    assert (known["format"], known["succeeded"]) == ("ndjson", 1)


def test_rejected_rows_are_written_beside_the_file_to_be_mended(importer: Importer) -> None:
    file = importer.file("tasks.csv", b"title,due_at\nSound,\nLate,tomorrow\n")
    done = importer.run(file)

    rejects = Path(f"{file}.rejects.csv")
    assert done.exit_code == 3
    assert _counts(done.stdout) == {"state": "completed", "rows": "2", "succeeded": "1", "rejected": "1"}
    assert str(rejects) in done.stderr
    (reject,) = csv.DictReader(rejects.read_text().splitlines())
    assert (reject["title"], reject["_line"]) == ("Late", "3")

    rejects.write_text(rejects.read_text().replace("tomorrow", "2026-12-04T09:00:00Z"))
    assert importer.run(str(rejects)).exit_code == 0
    assert importer.titles() == ["Late", "Sound"]


def test_rejects_that_are_mended_already_are_not_lost(importer: Importer) -> None:
    file = importer.file("tasks.ndjson", b'{"title": 5}\n')
    assert importer.run(file).exit_code == 3
    rejects = Path(f"{file}.rejects.ndjson")
    rejects.write_text("mended")

    assert importer.run(file).exit_code == 3
    assert json.loads(rejects.read_text())["title"] == 5
    assert Path(f"{rejects}~").read_text() == "mended"


def test_rejects_go_where_they_are_to_go(importer: Importer) -> None:
    file, rejects = importer.file("tasks.csv", b"title\n \n"), importer.folder / "elsewhere"

    assert importer.run(file, "--rejects", str(rejects)).exit_code == 3
    assert rejects.read_text().startswith("title,_line,_error\n")
    assert not Path(f"{file}.rejects.csv").exists()

    missing = importer.run(file, "--rejects", str(importer.folder / "no" / "folder"))
    assert missing.exit_code == 1
    assert "--rejects" in missing.stderr


def test_rows_that_failed_are_told_by_the_exit_code_and_where_to_look(importer: Importer) -> None:
    row = b"One,contact,con_nobody\n"
    done = importer.run(importer.file("tasks.csv", b"title,related_resource_type,related_resource_id\n" + row))

    assert done.exit_code == 3
    assert _counts(done.stdout) == {"state": "completed", "rows": "1", "failed": "1"}
    assert "audit" in done.stderr


def test_a_dry_run_creates_nothing_and_is_made_anew_each_time(importer: Importer) -> None:
    file = importer.file("tasks.csv", b"title\nOne\n")
    for number in (1, 2):
        assert importer.run(file, "--dry-run").exit_code == 0
        assert [known["dry_run"] for known in importer.imports()] == [True] * number
    assert importer.titles() == []
    assert importer.run(file).exit_code == 0
    assert importer.titles() == ["One"]


def test_the_same_file_again_is_known_and_not_sent(importer: Importer) -> None:
    file = importer.file("tasks.csv", b"title\nOne\n")
    first = importer.run(file)
    again = importer.run(file)

    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert "nothing is sent" in again.stderr
    assert len(importer.imports()) == 1


def test_a_file_whose_import_was_canceled_can_be_sent_again(importer: Importer) -> None:
    file = importer.file("tasks.csv", b"title\n" + b"Task\n" * 3_000)
    taken = importer.run(file, "--no-wait", "--json")
    assert taken.exit_code == 0, taken.stderr
    importer.cancel(json.loads(taken.stdout))

    done = importer.run(file, "--json")

    assert done.exit_code == 0, done.stderr
    second, first = importer.imports()
    assert first["state"] == "canceled"
    assert second["rows"] == second["succeeded"] + second["replayed"] == 3_000
    assert second["replayed"] == first["succeeded"]


def test_an_import_that_is_canceled_meanwhile_is_an_error(importer: Importer) -> None:
    with importer.start(importer.file("tasks.csv", _big())) as process:
        importer.cancel(importer.begun())
        _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)

    assert process.returncode == 1
    assert b"was canceled" in stderr


def test_standard_input_is_imported(importer: Importer) -> None:
    with importer.start("-", "--format", "csv", stdin=subprocess.PIPE) as process:
        stdout, stderr = process.communicate(b"title\nOne\n \n", timeout=_PATIENCE_SECONDS)

    assert process.returncode == 3, stderr
    assert _counts(stdout.decode()) == {"state": "completed", "rows": "2", "succeeded": "1", "rejected": "1"}
    (known,) = importer.imports()
    assert (importer.folder / f"{known['id']}.rejects.csv").exists()


def test_standard_input_tells_no_format(importer: Importer) -> None:
    refused = run("import", "-", **importer.variables)

    assert refused.returncode == 2
    assert "--format" in refused.stderr


def test_an_import_that_was_killed_goes_on_where_it_was(importer: Importer) -> None:
    content = _big()
    file = importer.file("tasks.csv", content)
    with importer.start(file) as process:
        importer.begun()
        process.kill()
    (cut,) = importer.imports()
    assert cut["state"] == "receiving"
    assert cut["bytes_received"] < len(content)

    done = importer.run(file, "--json")

    assert done.exit_code == 0, done.stderr
    assert f"Going on with {cut['id']} at byte " in done.stderr
    (known,) = importer.imports()
    assert (known["id"], known["bytes_received"]) == (cut["id"], len(content))
    assert (known["rows"], known["succeeded"]) == (20_000, 20_000)


def test_an_interrupted_import_says_how_to_go_on(importer: Importer) -> None:
    with importer.start(importer.file("tasks.csv", _big())) as process:
        importer.begun()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=_PATIENCE_SECONDS)

    assert (process.returncode, stdout) == (130, b"")
    assert b"the same command goes on where it was" in stderr
    assert b"Traceback" not in stderr


def test_a_file_that_is_written_to_meanwhile_is_an_error_and_its_import_is_canceled(importer: Importer) -> None:
    file = importer.file("tasks.csv", _big())
    with importer.start(file) as process:
        importer.begun()
        with Path(file).open("ab") as more:
            more.write(b"One more,\n")
        _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)

    assert process.returncode == 1
    assert b"was changed while it was read" in stderr
    assert importer.imports()[0]["state"] == "canceled"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"name\nJane\n", "name: No such column"),
        ("title\nOne\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_file_that_is_not_acceptable_is_one_clear_error(importer: Importer, content: bytes, reason: str) -> None:
    refused = importer.run(importer.file("tasks.csv", content))

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert importer.imports() == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nowhere.csv",), "nowhere.csv"),
        (("{}.txt",), "--format"),
        (("{}.csv", "--format", "xlsx"), "xlsx"),
        (("{}.csv", "--url", "localhost:8765"), "--url"),
        (("{}.csv", "--url", "http://[::1"), "--url"),
        ((), "FILE"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    importer: Importer, arguments: tuple[str, ...], named: str
) -> None:
    for ending in ("txt", "csv"):
        importer.file(f"tasks.{ending}", b"title\nOne\n")

    refused = importer.run(*(argument.replace("{}", str(importer.folder / "tasks")) for argument in arguments))

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert named in refused.stderr
    assert importer.imports() == []


def test_a_token_that_is_none_or_does_not_suffice_is_not_allowed(
    importer: Importer, connection: Connection[Any], person: Caller
) -> None:
    file = importer.file("tasks.csv", b"title\nOne\n")
    reader = create_token(connection, person.tenant_id, person.actor, ["tasks:read"])[1]

    for token, reason in (
        ("baton_wrong", "unknown"),
        ("", "no token"),
        ("a\nb", "no token has"),
        (reader, "tasks:write"),
    ):
        refused = importer.run(file, BATON_TOKEN=token)
        assert (refused.exit_code, refused.stdout) == (4, "")
        assert reason in refused.stderr


def test_the_token_of_this_checkout_goes_to_the_stack_of_this_checkout_alone(importer: Importer) -> None:
    url, token = importer.variables["BATON_URL"], importer.variables["BATON_TOKEN"]
    (importer.folder / "tokens.json").write_text(json.dumps({"url": url, "person": token, "agent": ""}))
    file, home = importer.file("tasks.csv", b"title\nOne\n"), str(importer.folder)

    assert invoke("import", file, BATON_HOME=home).exit_code == 0
    other = url.replace("127.0.0.1", "localhost")
    assert invoke("import", file, "--url", other, BATON_HOME=home).exit_code == 4
