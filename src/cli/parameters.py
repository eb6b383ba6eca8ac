"""What options accept beyond numbers and words."""

import re
from datetime import UTC, datetime, timedelta

import click

from core.tenancy.model import SCOPES

_AGE = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Scopes(click.ParamType[list[str]]):
    """Scopes between spaces or commas, or `all`."""

    name = "scopes"

    def convert(self, value: str | list[str], param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Return the scopes in the order of the product's list, each once."""
        named = set(re.split(r"[\s,]+", value.strip(" ,"))) if isinstance(value, str) else set(value)
        if named == {"all"}:
            return list(SCOPES)
        if unknown := sorted(named - set(SCOPES)):
            self.fail(f"no scope {', '.join(map(repr, unknown))}. Scopes: {' '.join(SCOPES)}, or all.", param, ctx)
        return [scope for scope in SCOPES if scope in named]


class Expiry(click.ParamType[datetime]):
    """A time from now (30d, 12h) or an RFC 3339 instant."""

    name = "when"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant in UTC, which is in the future."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        instant = _instant(value, now)
        if instant is None:
            self.fail(f"{value!r} is neither like 30d or 12h nor like 2027-01-31T00:00:00Z.", param, ctx)
        if instant <= now:
            self.fail(f"{value!r} is in the past.", param, ctx)
        return instant


def _instant(value: str, now: datetime) -> datetime | None:
    try:
        if age := _AGE.fullmatch(value):
            return now + timedelta(**{_UNITS[age[2]]: int(age[1])})
        instant = datetime.fromisoformat(value)
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
