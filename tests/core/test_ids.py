import re
from typing import get_args

import pytest
from uuid_utils import UUID

from core.ids import Prefix, new_id, sibling_id
from tests.concurrency import at_once

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _value(id_: str) -> int:
    value = 0
    for character in id_.partition("_")[2]:
        value = value * 32 + _ALPHABET.index(character)
    return value


@pytest.mark.parametrize("prefix", get_args(Prefix))
def test_an_id_is_its_prefix_and_a_uuid_of_version_7_in_base32(prefix: Prefix) -> None:
    id_ = new_id(prefix)

    assert re.fullmatch(prefix + "_[0-7][0-9a-hjkmnp-tv-z]{25}", id_)
    assert UUID(int=_value(id_)).version == 7


def test_ids_of_one_process_sort_by_the_order_in_which_they_were_made() -> None:
    ids = [new_id("req") for _ in range(20_000)]

    assert ids == sorted(set(ids))


def test_ids_made_at_once_are_all_different() -> None:
    ids = [id_ for made in at_once([lambda: [new_id("task") for _ in range(2_000)]] * 8) for id_ in made]

    assert len(set(ids)) == 16_000


def test_a_sibling_shares_the_suffix() -> None:
    id_ = new_id("req")

    assert sibling_id("aud", id_) == "aud_" + id_.removeprefix("req_")
