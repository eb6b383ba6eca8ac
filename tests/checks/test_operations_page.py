"""docs/operations.md names every setting with its default."""

import re

from core.settings import Settings
from tests.servers import ROOT

_ROW = re.compile(r"^\| (`BATON_[^|]*) \|([^|]*)\|", re.MULTILINE)


def _documented() -> dict[str, str]:
    rows = _ROW.findall((ROOT / "docs" / "operations.md").read_text())
    return {
        name: default
        for names, defaults in rows
        for name, default in zip(re.findall(r"`(BATON_\w+)`", names), defaults.strip().split(", "), strict=True)
    }


def _shown(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_setting_is_documented_with_its_default() -> None:
    fields = Settings.model_fields.items()
    settings = {
        f"BATON_{name.upper()}": "" if field.is_required() or field.default is None else _shown(field.default)
        for name, field in fields
    }
    assert _documented() == settings
