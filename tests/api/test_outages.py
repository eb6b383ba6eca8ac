"""Outages between the acceptance of a write and its answer."""

from typing import Any

import httpx
import pytest

from api.app import create_app
from core.errors import Unavailable
from core.settings import Settings
from tests.api.asking import WAIT, Api, accepted
from tests.api.serving import running


def test_a_write_that_is_accepted_is_answered_so_when_postgres_goes_while_its_client_waits(
    settings: Settings, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        asking = Api(http, api.token)
        assert asking.get("/v1/tasks").status_code == 200

        async def run(_self: object, _query: object) -> Any:  # noqa: ANN401
            raise Unavailable

        with monkeypatch.context() as outage:
            outage.setattr(type(app.state.runtime.reader), "run", run)
            receipt = accepted(asking.post("/v1/tasks", {"title": "x"}, headers=WAIT))

    assert api.finished(receipt["request_id"])["status"] == "succeeded"
