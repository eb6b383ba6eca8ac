"""The types of members that callers send: what is accepted, and the words for what is not."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from unicodedata import category

from pydantic import BeforeValidator, GetCoreSchemaHandler, StringConstraints, WithJsonSchema
from pydantic.functional_validators import AfterValidator
from pydantic_core import CoreSchema, PydanticCustomError

# RFC 3339, section 5.6, with the offset that makes it an instant.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII)

_NO_DATE_TIME = "No such date-time in UTC, from the year 0001 to 9999 and without leap seconds"

_SEEN = re.compile(r"[!-~]")
# Nothing of these categories is seen by itself: controls, formats (zero-width ones too), marks and separators. The
# others are a letter or symbol by category, and as empty: the Hangul fillers and the braille cell without a dot.
_UNSEEN = ("Cc", "Cf", "M", "Z")
_EMPTY = frozenset("\u115f\u1160\u3164\uffa0\u2800")

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def _instant(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError("instant", "Use an RFC 3339 date-time with an offset, such as 2026-12-04T09:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("instant", _NO_DATE_TIME) from error


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("nul", "NUL characters are not accepted")
    return value


def _not_blank(value: str) -> str:
    if _SEEN.search(value):  # at once, where most texts are decided
        return value
    if all(character in _EMPTY or category(character).startswith(_UNSEEN) for character in value):
        raise PydanticCustomError("blank", "Write at least one character that can be seen")
    return value


def _visible_ascii(value: str) -> str:
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise PydanticCustomError("idempotency_key", "Use 1 to 255 visible ASCII characters, without spaces")
    return value


class _NotNull:
    """Marks a member that may be absent, and is never null."""

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


NOT_NULL = _NotNull()

Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
# After the bounds of a length, which speak of characters only where they stand first.
NO_NUL = AfterValidator(_without_nul)
NOT_BLANK = AfterValidator(_not_blank)
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255), NO_NUL, NOT_BLANK]
IdempotencyKey = Annotated[
    str,
    AfterValidator(_visible_ascii),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"}),
]
