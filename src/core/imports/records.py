"""From the bytes of a file to its records: CSV (RFC 4180) and NDJSON, in pieces, in bounded memory.

A reader is fed pieces of the file as they arrive and returns the records that are whole. What cannot be read is a
record with a problem, and the next line is read as if nothing had been: one bad line costs one line.
"""

import codecs
import csv
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import FieldError, ValidationFailed

MOST_BYTES = 262_144
"""Of one record. A task with 20,000 characters in every text is smaller."""

RAW = "_raw"
"""The value that holds what was sent where its columns cannot be told."""

_MOST_FAULTS = 100  # named of one header
_TOO_LONG = f"A row may have {MOST_BYTES:,} bytes at most"
_OPEN_QUOTE = "A quote is opened in this line and never closed"
_ENDLESS = "field limit"  # of the csv module, 131,072 characters


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: the line it begins at, from 1, and its values, or what is wrong with it."""

    line: int
    values: dict[str, Any]
    problem: str | None = None


class RecordReader(ABC):
    """Reads the records of a file that arrives in pieces.

    `offset` (bytes) and `lines` tell where the last returned record ends: reading can go on from there.
    """

    def __init__(self, *, offset: int = 0, lines: int = 0) -> None:
        """Begin at a byte and after a number of lines, where a record begins."""
        self.offset = offset
        self.lines = lines
        self._rest = b""
        self._dropped = 0

    def feed(self, piece: bytes) -> list[Record]:
        """Return the records that end in this piece.

        Raises:
            ValidationFailed: the file as a whole is not what it should be.

        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        records = self._read([line + b"\n" for line in lines], last=False)
        if len(self._rest) > MOST_BYTES:  # nothing of such a line is kept, however long it will become
            self._dropped += len(self._rest)
            self._rest = b""
        return records

    def end(self) -> list[Record]:
        """Return the records that the end of the file completes.

        Raises:
            ValidationFailed: as `feed`.

        """
        lines = [self._rest] if self._rest or self._dropped else []
        self._rest = b""
        return self._read(lines, last=True)

    def _read(self, lines: list[bytes], *, last: bool) -> list[Record]:
        if self.offset == 0 and lines:
            _refuse_other_encodings(lines[0])
        records: list[Record] = []
        if self._dropped and lines:
            records += self._records([], last=True)
            records.append(self._spoiled([], _TOO_LONG))
            self._move_on(1, self._dropped + len(lines.pop(0)))
            self._dropped = 0
        return [*records, *self._records(lines, last=last)]

    def _spoiled(self, lines: list[bytes], problem: str) -> Record:
        """Return a record that cannot be read, with what is there of it."""
        raw = "".join(map(self._text, lines)).rstrip("\r\n")
        return Record(self.lines + 1, {RAW: raw} if lines else {}, problem)

    def _text(self, line: bytes) -> str:
        """Decode a line; what is not UTF-8 becomes lone surrogates, which no member of a command accepts."""
        return line.removeprefix(codecs.BOM_UTF8 if self.offset == 0 else b"").decode(errors="surrogateescape")

    def _move_on(self, lines: int, size: int) -> None:
        self.lines += lines
        self.offset += size

    @abstractmethod
    def _records(self, lines: list[bytes], *, last: bool) -> Iterator[Record]:
        """Yield the records of some more lines; after the last ones, also of what was held back."""


class CsvReader(RecordReader):
    """Reads CSV whose first record names the columns; an empty field is a member that is not given."""

    def __init__(
        self, known: Sequence[str], required: Sequence[str], *, columns: Sequence[str] | None = None, **position: int
    ) -> None:
        """Take the columns that a file may have and must have, and this file's own where its header was read before."""
        super().__init__(**position)
        self._known = known
        self._required = required
        self.columns = columns
        self._held: list[bytes] = []

    def end(self) -> list[Record]:
        """Return the last records; raises ValidationFailed as well when there was no header."""
        records = super().end()
        if self.columns is None:
            why = "No header was found" if self.offset else "The file is empty"
            raise ValidationFailed([FieldError("body", f"{why}: the first line must name the columns")])
        return records

    def _records(self, lines: list[bytes], *, last: bool) -> Iterator[Record]:
        lines, self._held = self._held + lines, []
        while lines:
            rows, done = csv.reader(map(self._text, lines), strict=True), 0
            try:
                for row in rows:
                    yield from self._row(lines[done : rows.line_num], row)
                    done = rows.line_num
                lines = []
            except csv.Error as error:
                unfinished = "unexpected end" in str(error)
                if unfinished and not last and sum(map(len, lines[done:])) <= MOST_BYTES:
                    self._held = lines[done:]
                    return
                # Where an open quote should have ended nobody knows: the next line may be sound.
                runaway = unfinished or (_ENDLESS in str(error) and rows.line_num - done > 1)
                bad = lines[done : done + 1 if runaway else rows.line_num]
                yield self._spoiled(bad, _OPEN_QUOTE if runaway else _in_words(error))
                self._move_on(len(bad), sum(map(len, bad)))
                lines = lines[done + len(bad) :]

    def _row(self, lines: list[bytes], row: list[str]) -> Iterator[Record]:
        if self.columns is None:
            self._take_header(row)
        elif len(row) == len(self.columns):
            yield Record(self.lines + 1, {name: value for name, value in zip(self.columns, row, strict=True) if value})
        elif row:  # a blank line is no record
            yield self._spoiled(lines, f"{len(row)} fields, where the header names {len(self.columns)}")
        self._move_on(len(lines), sum(map(len, lines)))

    def _spoiled(self, lines: list[bytes], problem: str) -> Record:
        """Return a record that cannot be read; raises ValidationFailed where it is the header."""
        if self.columns is None:
            raise ValidationFailed([FieldError("header", problem)])
        return super()._spoiled(lines, problem)

    def _take_header(self, row: list[str]) -> None:
        if not row:
            return
        names = [name.strip() for name in row]
        counts = Counter(names)
        wrong = [FieldError(name, "The header lacks it") for name in self._required if name not in counts]
        wrong += [FieldError(name, "The header names it twice") for name, count in counts.items() if name and count > 1]
        wrong += [FieldError(name or "header", "No such column") for name in counts if name not in self._known]
        if wrong:
            known = ", ".join(name for name in self._known if not name.startswith("_"))
            raise ValidationFailed([FieldError("header", f"The columns are {known}"), *wrong[:_MOST_FAULTS]])
        self.columns = names


class NdjsonReader(RecordReader):
    """Reads newline-delimited JSON: one object a line."""

    def end(self) -> list[Record]:
        """Return the last record; raises ValidationFailed as well when there was nothing at all."""
        records = super().end()
        if self.offset == 0:
            raise ValidationFailed([FieldError("body", "The file is empty")])
        return records

    def _records(self, lines: list[bytes], *, last: bool) -> Iterator[Record]:
        del last  # no record spans lines
        for line in lines:
            if text := self._text(line).strip(" \t\r\n"):
                yield self._record(text)
            self._move_on(1, len(line))

    def _record(self, text: str) -> Record:
        try:
            values = _JSON.decode(text)
        except (ValueError, RecursionError) as error:
            return Record(self.lines + 1, {RAW: text}, f"Not valid JSON: {error}")
        if not isinstance(values, dict):
            return Record(self.lines + 1, {RAW: text}, "Not a JSON object")
        return Record(self.lines + 1, values)


def _in_words(error: csv.Error) -> str:
    """Say what the csv module found; of a return within a line it says how to open files in Python."""
    return "Lines must end with LF or CRLF" if "new-line character" in str(error) else f"Not valid CSV: {error}"


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object of which two parsers may understand two different things (RFC 8259, section 4)."""
    found = dict(members)
    if len(found) < len(members):
        message = "a member is given twice"
        raise ValueError(message)
    return found


def _refuse_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)


# Made once: json.loads makes a decoder for each text where it is given hooks.
_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant)


def _refuse_other_encodings(line: bytes) -> None:
    """Tell at its beginning a file that is text in another encoding, or no text at all."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in line:
        raise ValidationFailed([FieldError("body", "The file is not UTF-8 text; save it as UTF-8 and send it again")])
