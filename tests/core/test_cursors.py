"""A cursor is good for the list, the filters and the workspace that it was made for, and for nothing else."""

import contextlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.cursors import decode_cursor, encode_cursor
from core.errors import ValidationFailed

_SCOPE = ["Task", {"tenant_id": "ten_1", "status": "open"}]
_positions = st.lists(st.one_of(st.text(st.characters(codec="utf-8")), st.integers(-(2**53), 2**53)), min_size=1)


def _assert_refused(cursor: str, scope: object = _SCOPE) -> None:
    with pytest.raises(ValidationFailed) as refused:
        decode_cursor(cursor, scope)
    assert [error["field"] for error in refused.value.extensions["field_errors"]] == ["cursor"]


@given(_positions)
def test_a_cursor_gives_its_position_back(position: list[Any]) -> None:
    cursor = encode_cursor(position, _SCOPE)

    assert decode_cursor(cursor, _SCOPE) == position
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "scope",
    [
        ["Task", {"tenant_id": "ten_2", "status": "open"}],
        ["Task", {"tenant_id": "ten_1", "status": "completed"}],
        ["Task", {"tenant_id": "ten_1"}],
        ["Task", {"tenant_id": "ten_1", "status": "open", "source": "api"}],
        ["AuditEvent", {"tenant_id": "ten_1", "status": "open"}],
    ],
)
def test_a_cursor_of_another_workspace_filter_or_list_is_refused(scope: object) -> None:
    _assert_refused(encode_cursor(["task_1"], scope))


def test_the_order_in_which_filters_are_named_does_not_matter() -> None:
    cursor = encode_cursor(["task_1"], ["Task", {"status": "open", "tenant_id": "ten_1"}])

    assert decode_cursor(cursor, _SCOPE) == ["task_1"]


@pytest.mark.parametrize("cursor", ["", "x", "====", "a b", "é", "\ud800", "\x00", "A" * 12, "A" * 2000, "null", "[]"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    _assert_refused(cursor)


@given(st.text(max_size=80))
def test_no_text_is_taken_for_a_cursor(text: str) -> None:
    _assert_refused(text)


@given(_positions, st.data())
def test_a_changed_cursor_is_refused_or_means_the_same(position: list[Any], data: st.DataObject) -> None:
    cursor = encode_cursor(position, _SCOPE)
    place = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:place] + data.draw(st.characters(codec="ascii")) + cursor[place + 1 :]
    assume(changed != cursor)

    with contextlib.suppress(ValidationFailed):
        assert decode_cursor(changed, _SCOPE) == position


@given(_positions, st.integers(1, 20))
def test_a_cursor_that_was_cut_short_is_refused(position: list[Any], cut: int) -> None:
    _assert_refused(encode_cursor(position, _SCOPE)[:-cut])
