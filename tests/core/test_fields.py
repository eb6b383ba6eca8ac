"""What is accepted of the members that callers send, at the edges."""

from datetime import datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from core.fields import Instant
from core.tasks.commands import Title

_TITLE: TypeAdapter[str] = TypeAdapter(Title)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


@pytest.mark.parametrize(
    "title",
    [
        " \t\r\n",
        "\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\N{LINE SEPARATOR}",
        "\N{ZERO WIDTH SPACE}",
        "\N{ZERO WIDTH JOINER}\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}",
        "\N{SOFT HYPHEN}",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "\N{INVISIBLE TIMES}",
        "\N{COMBINING GRAPHEME JOINER}\N{COMBINING ACUTE ACCENT}",
        "\N{VARIATION SELECTOR-16}\N{VARIATION SELECTOR-17}",
        "\N{TAG LATIN SMALL LETTER A}",
        "\N{HANGUL FILLER}\N{HALFWIDTH HANGUL FILLER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}",
        "\N{BRAILLE PATTERN BLANK}",
        "\x01\x1b\x7f\x85",
    ],
    ids=ascii,
)
def test_a_title_of_which_nothing_can_be_seen_is_blank(title: str) -> None:
    with pytest.raises(ValidationError, match="at least one character that can be seen"):
        _TITLE.validate_python(title)


@pytest.mark.parametrize(
    "title",
    [
        "x",
        "\N{ZERO WIDTH SPACE}x",
        "7",
        "?",
        "€",
        "電",
        "\N{DEVANAGARI LETTER KA}\N{DEVANAGARI VOWEL SIGN I}",
        "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}",
        "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}",
        "\N{BRAILLE PATTERN DOTS-1}",
        "\U0001fae8",  # an emoji that the Unicode tables of Python 3.11 do not know yet
        "\ue000",  # of private use: whoever sends it has a font that shows it
    ],
    ids=ascii,
)
def test_a_title_with_one_character_that_can_be_seen_is_kept_as_it_is(title: str) -> None:
    assert _TITLE.validate_python(title) == title


@pytest.mark.parametrize(
    "instant",
    ["2016-12-31T23:59:60Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-02-29T00:00:00Z"],
)
def test_an_instant_that_cannot_be_kept_is_refused_with_the_bounds(instant: str) -> None:
    with pytest.raises(ValidationError, match="from the year 0001 to 9999 and without leap seconds"):
        _INSTANT.validate_python(instant)


@pytest.mark.parametrize(
    ("instant", "kept"),
    [
        ("0001-01-01T00:00:00-23:59", "0001-01-01T23:59:00+00:00"),
        ("9999-12-31T23:59:59.9999999+23:59", "9999-12-31T00:00:59.999999+00:00"),
        ("2026-12-04t09:00:00z", "2026-12-04T09:00:00+00:00"),
    ],
)
def test_an_instant_at_the_edge_is_kept_to_the_microsecond(instant: str, kept: str) -> None:
    assert _INSTANT.validate_python(instant).isoformat() == kept
