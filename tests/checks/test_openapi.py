"""The committed OpenAPI document is the one that the API serves."""

import json

from core.settings import load_settings
from tests.servers import ROOT


def test_the_committed_document_is_what_the_app_serves() -> None:
    from api.app import create_app  # noqa: PLC0415 (slow to import, and not needed to collect the other checks)

    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())

    assert create_app(load_settings()).openapi() == committed, "run `make openapi` and commit docs/openapi.json"
