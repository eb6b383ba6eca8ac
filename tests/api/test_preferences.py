"""`Prefer: wait=N` in every form in which RFC 7240 allows it to be written."""

import pytest

from api.exchange import preferred_wait


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (["wait=5"], 5),
        (["WAIT = 5"], 5),
        (['wait="5"'], 5),
        (['wait="1\\0"'], 10),
        (["wait=005"], 5),
        (["wait=0"], 0),
        (["wait=31"], 30),
        (["wait=" + "9" * 10_000], 30),
        (["wait=" + "0" * 10_000 + "5"], 5),
        (["wait=5; x=1"], 5),
        (["respond-async, wait=5"], 5),
        ([", ,wait=5,"], 5),
        (["handling=strict", "wait=5"], 5),
        (["wait=5", "wait=9"], 5),
        (["wait=5, wait=9"], 5),
        (['x="wait=9, wait=9", wait=5'], 5),
        (['x; y="wait=9;", wait=5'], 5),
    ],
)
def test_a_preference_is_understood_in_every_spelling(prefer: list[str], seconds: int) -> None:
    assert preferred_wait(prefer) == seconds


@pytest.mark.parametrize(
    "prefer",
    [
        [],
        [""],
        ["wait"],
        ["wait="],
        ['wait=""'],
        ["wait=-1"],
        ["wait=+1"],
        ["wait=1.5"],
        ["wait=1e9"],
        ["wait=1_0"],
        ["wait=soon"],
        ["wait=٣"],
        ['wait="5'],
        ['wait=5"'],
        ["wait='5'"],
        ["wait=5 6"],
        ["await=5"],
        ["x=1; wait=5"],
        ['x="wait=5"'],
        ["wait=soon, wait=5"],
    ],
)
def test_what_is_no_number_of_seconds_is_no_preference(prefer: list[str]) -> None:
    assert preferred_wait(prefer) is None
