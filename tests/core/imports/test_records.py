"""Files are read the same whatever the pieces in which they arrive, and one bad line costs one line."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ValidationFailed
from core.imports.records import MOST_BYTES, CsvReader, NdjsonReader, Record, RecordReader

_COLUMNS = ("title", "description")
_SPOILED = (
    b"\xef\xbb\xbftitle,description\r\n"
    b'whole,"two\nlines"\r\n'
    b"\r\n"
    b"ragged,row,here\n"
    b'"closed"early,x\n'
    b"caf\xc3\xa9,\xff\n"
    b'"say ""hi""",\n'
    b'"never closed,x\n'
    b"sound,again\n"
    b"last,line without an end"
)


def _csv() -> CsvReader:
    return CsvReader(_COLUMNS, ("title",))


def _read(reader: RecordReader, data: bytes, size: int) -> list[Record]:
    records: list[Record] = []
    for start in range(0, len(data), size):
        records += reader.feed(data[start : start + size])
    records += reader.end()
    assert reader.offset == len(data)
    return records


def _sound(records: list[Record]) -> list[dict[str, Any]]:
    return [record.values for record in records if record.problem is None]


def test_a_csv_file_with_every_fault_gives_its_sound_rows_and_names_each_fault_by_its_line() -> None:
    records = _read(_csv(), _SPOILED, len(_SPOILED))

    assert _sound(records) == [
        {"title": "whole", "description": "two\nlines"},
        {"title": "café", "description": "\udcff"},
        {"title": 'say "hi"'},
        {"title": "sound", "description": "again"},
        {"title": "last", "description": "line without an end"},
    ]
    assert {record.line: record.values["_raw"] for record in records if record.problem} == {
        5: "ragged,row,here",
        6: '"closed"early,x',
        9: '"never closed,x',
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_size_of_the_pieces_does_not_matter(size: int) -> None:
    assert _read(_csv(), _SPOILED, size) == _read(_csv(), _SPOILED, len(_SPOILED))


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1), st.integers(1, 40))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]], size: int) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([_COLUMNS, *rows])

    records = _read(_csv(), file.getvalue().encode(errors="surrogatepass"), size)

    assert [tuple(record.values.values()) for record in records] == [
        tuple(value.encode(errors="surrogatepass").decode(errors="surrogateescape") for value in row) for row in rows
    ]


@given(st.binary(), st.integers(1, 40))
def test_whatever_a_file_holds_it_is_read_to_its_end_or_refused(data: bytes, size: int) -> None:
    for reader in (_csv(), CsvReader(_COLUMNS, ("title",), columns=_COLUMNS), NdjsonReader()):
        try:
            records = _read(reader, data, size)
        except ValidationFailed:
            continue
        lines = [record.line for record in records]
        assert lines == sorted(set(lines))
        assert all(1 <= line <= data.count(b"\n") + 1 for line in lines)


@given(st.lists(st.dictionaries(st.text(), st.none() | st.integers() | st.text())), st.integers(1, 40))
def test_what_the_json_module_writes_is_read_back(rows: list[dict[str, Any]], size: int) -> None:
    data = b"\n" + b"".join(json.dumps(row).encode() + b"\r\n" for row in rows)

    assert [record.values for record in _read(NdjsonReader(), data, size)] == rows


def test_reading_goes_on_where_the_last_record_ended() -> None:
    whole, first = _csv(), _csv()
    records = _read(whole, _SPOILED, 16)
    read = first.feed(_SPOILED[: len(_SPOILED) // 2])

    rest = CsvReader(_COLUMNS, ("title",), columns=first.columns, offset=first.offset, lines=first.lines)

    assert read + rest.feed(_SPOILED[first.offset :]) + rest.end() == records


@pytest.mark.parametrize("reader", [lambda: CsvReader(_COLUMNS, (), columns=_COLUMNS), NdjsonReader])
def test_of_an_endless_line_nothing_is_kept(reader: Callable[[], RecordReader]) -> None:
    reading = reader()
    for _ in range(40):
        assert reading.feed(b"x" * MOST_BYTES) == []
        assert len(reading._rest) <= MOST_BYTES

    (record,) = reading.feed(b'\n{"title":"sound"}\n')[:1]

    assert record.line == 1
    assert record.problem == "A row may have 262,144 bytes at most"
    assert reading.lines == 2


def test_an_open_quote_costs_its_own_line_whatever_follows() -> None:
    following = b"a row,of its own\n" * 30_000

    records = _read(_csv(), b'title,description\n"open,x\n' + following, 16_384)

    assert len(_sound(records)) == 30_000
    (spoiled,) = [record for record in records if record.problem]
    assert (spoiled.line, spoiled.problem) == (2, "A quote is opened in this line and never closed")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "Not a JSON object"),
        ('"x"', "Not a JSON object"),
        ("{", "Not valid JSON"),
        ('{"a": NaN}', "Not valid JSON: NaN is not JSON"),
        ('{"a": 1, "a": 2}', "Not valid JSON: a member is given twice"),
        ("[" * 100_000, "Not valid JSON"),
        ("9" * 10_000, "Not valid JSON"),
    ],
)
def test_a_line_that_is_no_json_object_is_a_record_with_a_problem(line: str, problem: str) -> None:
    (record,) = _read(NdjsonReader(), line.encode(), 1_000)

    assert record.values == {"_raw": line}
    assert (record.problem or "").startswith(problem)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", {"body"}),
        (b"\n\n", {"body"}),
        (b"titel,description\n", {"titel", "title", "header"}),
        (b"title,title\n", {"title", "header"}),
        (b"title,\n", {"header"}),
        ("title\nx\n".encode("utf-16"), {"body"}),
        ("title\nx\n".encode("utf-16-be"), {"body"}),
        (b"PK\x03\x04\x00\x00\n", {"body"}),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_as_a_whole(data: bytes, fields: set[str]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        _read(_csv(), data, 3)

    assert {error["field"] for error in refused.value.extensions["field_errors"]} == fields


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'"title,description\nOne,x\n', "A quote is opened in this line and never closed"),
        (b'"title"s,description\nOne,x\n', "Not valid CSV: ',' expected after '\"'"),
        (b"title,description\rOne,x\rTwo,y\r", "Lines must end with LF or CRLF"),
        (b"x" * 300_000 + b"\ntitle\nOne\n", "A row may have 262,144 bytes at most"),
    ],
)
def test_a_header_that_cannot_be_read_is_no_reject_but_the_fault_of_the_file(data: bytes, problem: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        _read(_csv(), data, 16_384)

    assert refused.value.extensions["field_errors"] == [{"field": "header", "message": problem}]


def test_a_header_of_a_mass_of_columns_is_refused_with_the_first_faults() -> None:
    header = ",".join(f"c{number}" for number in range(30_000)).encode()

    with pytest.raises(ValidationFailed) as refused:
        _csv().feed(header + b"\n")

    errors = refused.value.extensions["field_errors"]
    assert [error["field"] for error in errors[:3]] == ["header", "title", "c0"]
    assert len(errors) == 101


def test_an_empty_ndjson_file_is_refused() -> None:
    with pytest.raises(ValidationFailed):
        NdjsonReader().end()
