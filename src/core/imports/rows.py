"""From a record to the command that it asks for, and to the key that keeps it from being executed twice."""

import json
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

from pydantic import StringConstraints, TypeAdapter, ValidationError

from core.acceptance import Submission
from core.commands import Command
from core.fields import IdempotencyKey
from core.imports.records import Record
from core.tasks.commands import CreateTask
from core.tenancy.model import Caller

COMMAND: type[Command] = CreateTask
"""What each row asks for."""

KEY, EXTERNAL_ID, LINE, ERROR = "idempotency_key", "external_id", "_line", "_error"

COLUMNS = (*COMMAND.model_fields, KEY, EXTERNAL_ID, LINE, ERROR)
"""What a file may have: the command's members, two ways to name a row, and what the rejects of a file add."""

REQUIRED = tuple(name for name, member in COMMAND.model_fields.items() if member.is_required())

_NUMBER = re.compile(r"[0-9]{1,18}")
_KEYS: TypeAdapter[str] = TypeAdapter(IdempotencyKey)
_EXTERNAL_IDS: TypeAdapter[str] = TypeAdapter(Annotated[IdempotencyKey, StringConstraints(max_length=200)])


class Reject(NamedTuple):
    """A row that was not taken: its line, what it held, the column at fault where there is one, and why."""

    line: int
    values: dict[str, Any]
    field: str | None
    error: str

    @property
    def first_line(self) -> int:
        """The line that the row had where it was rejected first."""
        return _line(self.values, self.line)

    def stored(self) -> tuple[int, str, str | None, str]:
        """Return what is stored of it; JSON in ASCII keeps what is no text at all, such as NUL and lone surrogates."""
        return self.line, json.dumps(self.values), self.field, self.error


class Row(NamedTuple):
    """A row that may be taken: what it held, and what it asks for."""

    values: dict[str, Any]
    submission: Submission


@dataclass(frozen=True, slots=True)
class RowReader:
    """Turns the records of one import into submissions."""

    caller: Caller
    import_id: str

    def read(self, record: Record) -> Row | Reject:
        """Return what a record asks for, or why it cannot be taken."""
        if record.problem is not None:
            return Reject(record.line, record.values, None, record.problem)
        values = dict(record.values)
        named = {name: values.pop(name) for name in (KEY, EXTERNAL_ID, LINE, ERROR) if name in values}
        try:
            command = COMMAND.model_validate(values)
            key = _given_key(named) or _derived_key(_line(named, record.line), command)
        except ValidationError as error:
            return _reject(record, error)
        submission = Submission(
            self.caller, "api", command, key, lane="bulk", import_id=self.import_id, import_line=record.line
        )
        return Row(record.values, submission)


def _given_key(named: dict[str, Any]) -> str | None:
    if KEY in named:
        return _KEYS.validate_python(named[KEY], strict=True)
    if EXTERNAL_ID in named:
        return "external_id:" + _EXTERNAL_IDS.validate_python(named[EXTERNAL_ID], strict=True)
    return None


def _derived_key(line: int, command: Command) -> str:
    """Name a row that has no name by its place and its content, so that the same file gives the same names.

    The place tells two equal rows apart; a row that was mended has another name than before, and its neighbours keep
    theirs.
    """
    return "row:" + blake2b(f"{line}\n{command.payload()}".encode(), digest_size=18).hexdigest()


def _line(named: dict[str, Any], line: int) -> int:
    """Return the line that a row had in the file from which it was rejected first, else the one that it has."""
    given = str(named.get(LINE, ""))
    return int(given) if _NUMBER.fullmatch(given) else line


def _reject(record: Record, error: ValidationError) -> Reject:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    fields = [".".join(map(str, each["loc"])) or each["type"] for each in found]
    reasons = [f"{field}: {each['msg']}" for field, each in zip(fields, found, strict=True)]
    return Reject(record.line, record.values, fields[0], "; ".join(reasons))
