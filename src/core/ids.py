"""Identifiers: a prefix and a UUIDv7 in base32, as TypeID 0.3 writes them (`task_01j...`)."""

from typing import Literal, get_args

from uuid_utils import uuid7

Prefix = Literal["task", "req", "aud", "tok", "imp", "act"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_PREFIXES = frozenset(get_args(Prefix))


def new_id(prefix: Prefix) -> str:
    """Return a new id; ids of one process sort by the time at which they were made."""
    value = uuid7().int
    return prefix + "_" + "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def sibling_id(prefix: Prefix, of: str) -> str:
    """Return the id of another prefix that shares the suffix of `of`."""
    return f"{prefix}_{of.rpartition('_')[2]}"
