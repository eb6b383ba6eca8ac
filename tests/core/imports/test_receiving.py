"""What an upload leaves in the database: requests, rejects, and how far the file is."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from core.errors import IdempotencyConflict, InvalidStatusTransition, ValidationFailed
from core.tasks.commands import CreateTask
from tests.core.imports.importing import Importing, rows


def _counts(known: object) -> dict[str, int]:
    names = ("rows", "rejected", "replayed", "queued", "succeeded", "failed", "canceled")
    return {name: getattr(known, name) for name in names if getattr(known, name)}


def test_each_row_becomes_a_request_in_the_bulk_lane_that_nobody_has_sent_yet(importing: Importing) -> None:
    known = importing.receive(rows(2_500))

    assert known.state == "running"
    assert _counts(known) == {"rows": 2_500, "queued": 2_500}
    assert known.bytes_received == len(rows(2_500))
    found = importing.workspace.connection.execute(
        "SELECT lane, command, sent_at, source, actor_id, count(*) FROM requests WHERE tenant_id = %s"
        " GROUP BY 1, 2, 3, 4, 5",
        [importing.workspace.tenant_id],
    ).fetchall()
    assert found == [("bulk", "task.create", None, "api", "usr_1", 2_500)]


def test_rows_that_are_not_acceptable_are_rejected_with_line_field_and_reason(importing: Importing) -> None:
    known = importing.receive(
        b"title,due_at,related_resource_type,related_resource_id,idempotency_key\n"
        b"Sound,2026-12-04T09:00:00Z,contact,con_1,k1\n"
        b" ,,,,\n"
        b"Naive,2026-12-04T09:00:00,,,\n"
        b"Half,,contact,,\n"
        b"Alien,,ship,x,\n"
        b"NUL\x00,,,,\n"
        b"Latin\xe9,,,,\n"
        b"Key,,,,two words\n"
        b"ragged\n"
    )

    assert _counts(known) == {"rows": 9, "rejected": 8, "queued": 1}
    assert [(reject.line, reject.field) for reject in importing.rejects(known)] == [
        (3, "title"),
        (4, "due_at"),
        (5, "related_resource_id"),
        (6, "related_resource_type"),
        (7, "title"),
        (8, "title"),
        (9, "idempotency_key"),
        (10, None),
    ]
    assert all(reject.error for reject in importing.rejects(known))


def test_large_rejects_are_read_a_few_at_a_time(importing: Importing) -> None:
    known = importing.receive(b"title,description\n" + b" ,%s\n" % (b"x" * 200_000) * 12)

    first = importing.rejects(known)

    assert [reject.line for reject in first] == [2, 3, 4, 5, 6, 7]
    assert [reject.line for reject in importing.rejects(known, after=7)] == [8, 9, 10, 11, 12, 13]
    assert importing.rejects(known, after=13) == []


def test_a_json_row_is_held_to_the_commands_own_rules(importing: Importing) -> None:
    lines = [{"title": 1}, {"title": "x", "status": "open"}, {"title": "x", "description": None}, {"title": "x"}]

    known = importing.receive("\n".join(map(json.dumps, lines)).encode(), "ndjson")

    assert [(reject.line, reject.field) for reject in importing.rejects(known)] == [
        (1, "title"),
        (2, "status"),
        (3, "description"),
    ]


@pytest.mark.parametrize("number", [3, 2_500])
def test_the_same_file_again_makes_nothing_twice(importing: Importing, number: int) -> None:
    importing.receive(rows(number))

    again = importing.receive(rows(number))

    assert _counts(again) == {"rows": number, "replayed": number}
    assert again.state == "completed"


def test_two_equal_rows_of_one_file_are_two_tasks(importing: Importing) -> None:
    known = importing.receive(b"title\nCall back\nCall back\n")

    assert _counts(known) == {"rows": 2, "queued": 2}


def test_a_mended_row_is_taken_and_its_neighbours_are_not_taken_twice(importing: Importing) -> None:
    importing.receive(b"title,due_at\nOne,\nTwo,tomorrow\nThree,\n")

    mended = importing.receive(b"title,due_at\nOne,\nTwo,2026-12-04T09:00:00Z\nThree,\n")

    assert _counts(mended) == {"rows": 3, "replayed": 2, "queued": 1}


def test_a_row_mended_in_the_file_of_rejects_is_the_same_row_as_in_the_mended_file(importing: Importing) -> None:
    importing.receive(b"title,due_at,_line,_error\nTwo,2026-12-04T09:00:00Z,3,due_at: Use an RFC 3339 date-time\n")

    whole = importing.receive(b"title,due_at\nOne,\nTwo,2026-12-04T09:00:00Z\n")

    assert _counts(whole) == {"rows": 2, "replayed": 1, "queued": 1}


def test_an_external_id_names_a_row_wherever_it_stands(importing: Importing) -> None:
    importing.receive(b"title,external_id\nOne,a\nTwo,b\n")

    again = importing.receive(b"external_id,title\nc,Three\nb,Two\na,Another\n")

    assert _counts(again) == {"rows": 3, "rejected": 1, "replayed": 1, "queued": 1}
    (reject,) = importing.rejects(again)
    assert (reject.line, reject.field) == (4, "idempotency_key")
    assert reject.values == {"external_id": "a", "title": "Another"}


def test_an_idempotency_key_is_the_same_key_as_that_of_a_single_write(importing: Importing) -> None:
    importing.workspace.accept(CreateTask(title="One"), idempotency_key="k1")

    known = importing.receive(b"title,idempotency_key\nOne,k1\nTwo,k2\n")

    assert _counts(known) == {"rows": 2, "replayed": 1, "queued": 1}


def test_one_key_twice_in_a_file_is_taken_once(importing: Importing) -> None:
    known = importing.receive(b"title,external_id\nOne,a\nOne,a\nOther,a\n")

    assert _counts(known) == {"rows": 3, "rejected": 1, "replayed": 1, "queued": 1}


def test_a_dry_run_checks_every_row_and_queues_none(importing: Importing) -> None:
    known = importing.receive(b"title\nSound\n \n", dry_run=True)

    assert known.state == "completed"
    assert _counts(known) == {"rows": 2, "rejected": 1}
    assert [reject.line for reject in importing.rejects(known)] == [3]
    count = "SELECT count(*) FROM requests WHERE tenant_id = %s"
    assert importing.workspace.connection.execute(count, [importing.workspace.tenant_id]).fetchone() == (0,)


def test_a_file_with_a_header_alone_is_an_import_that_is_over(importing: Importing) -> None:
    known = importing.receive(b"title,due_at\n")

    assert known.state == "completed"
    assert _counts(known) == {}


def test_an_upload_that_is_cut_goes_on_behind_what_was_committed(importing: Importing) -> None:
    file, begun = rows(3_210), importing.begin()
    cut = importing.upload(begun, file[:15_005], cut=True)

    assert cut.state == "receiving"
    assert 0 < cut.bytes_received <= 15_005
    assert file[: cut.bytes_received].endswith(b"\n")

    known = importing.resume(begun, file)

    assert known.state == "running"
    assert _counts(known) == {"rows": 3_210, "queued": 3_210}
    lines = importing.workspace.connection.execute(
        "SELECT array_agg(import_line ORDER BY seq) FROM requests WHERE import_id = %s", [known.id]
    ).fetchone()
    assert lines == (list(range(2, 3_212)),)


def test_large_rows_do_not_gather_to_a_thousand(importing: Importing) -> None:
    begun, seen = importing.begin(), [0]
    file = b"title,description\n" + b"Task,%s\n" % (b"x" * 20_000) * 200

    importing.upload(begun, file, after_each=lambda: seen.append(importing.committed(begun)))

    assert max(after - before for before, after in pairwise(seen)) < 100
    assert seen[-1] > 100


def test_rows_that_trickle_in_do_not_wait_for_a_thousand_others(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.imports.receiving._LONGEST_WAIT", 0.0)
    begun, seen = importing.begin(), [0]

    importing.upload(begun, rows(100), piece=300, after_each=lambda: seen.append(importing.committed(begun)))

    assert all(before < after for before, after in pairwise(seen))


def test_two_uploads_of_one_import_do_not_mix(importing: Importing) -> None:
    file, begun = rows(100), importing.begin()
    importing.upload(begun, file[:300], cut=True)
    importing.resume(begun, file)

    late = importing.begin()
    importing.upload(late, file[:300], cut=True)
    with pytest.raises(ValidationFailed, match="goes on at byte"):
        importing.upload(replace(late, offset=7, lines=1, columns=["title"]), file[7:])

    assert _counts(importing.get(begun)) == {"rows": 100, "queued": 100}


def test_a_key_names_one_import(importing: Importing) -> None:
    importing.receive(rows(1), key="file-1")

    with pytest.raises(IdempotencyConflict):
        importing.receive(rows(1), key="file-1")


def test_a_canceled_import_takes_no_more_rows(importing: Importing) -> None:
    file, begun = rows(100), importing.begin()
    cut = importing.upload(begun, file[:300], cut=True)
    importing.cancel(cut)

    with pytest.raises(InvalidStatusTransition):
        importing.resume(begun, file)
