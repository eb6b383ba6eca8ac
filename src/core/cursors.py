"""Opaque places in a list. A cursor belongs to one tenant, one list and one set of filters."""

import base64
import binascii
from hashlib import blake2b
from typing import Any

import orjson

from core.errors import FieldError, ValidationFailed

_SEAL_BYTES = 9


def _seal(position: bytes, scope: object) -> bytes:
    """Detect a changed or foreign cursor. No secret is needed: every query names the tenant by itself."""
    named = orjson.dumps(scope, option=orjson.OPT_SORT_KEYS)
    return blake2b(position, key=blake2b(named).digest(), digest_size=_SEAL_BYTES).digest()


def not_a_cursor() -> ValidationFailed:
    """Return the error for a cursor that does not fit."""
    message = "Not a cursor of this list with these filters. Start again without a cursor."
    return ValidationFailed([FieldError("cursor", message)])


def encode_cursor(position: list[Any], scope: object) -> str:
    """Return the cursor for a position (JSON values) in the list that `scope` describes."""
    return _sealed(orjson.dumps(position), scope)


def _sealed(raw: bytes, scope: object) -> str:
    return base64.urlsafe_b64encode(_seal(raw, scope) + raw).rstrip(b"=").decode()


def decode_cursor(cursor: str, scope: object) -> Any:  # noqa: ANN401 (JSON)
    """Return the position that a cursor holds; whoever forges one may get a position of any form.

    Raises:
        ValidationFailed: it was changed, or made for another list, filter or workspace.

    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)[_SEAL_BYTES:]
        if raw and cursor == _sealed(raw, scope):
            position: list[Any] = orjson.loads(raw)
            return position
    except (UnicodeEncodeError, binascii.Error):
        pass
    raise not_a_cursor()
