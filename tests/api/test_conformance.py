"""Whether the service does what its OpenAPI document says, tried by a program that has read nothing else."""

import json
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from tests.api.asking import Api
from tests.servers import ROOT

schema = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.json")

# Rules that a JSON Schema in the contract's form does not say, by the words of their refusal.
UNSAID = (
    "A completed_note needs",
    "Give related_resource_type",
    "Not a cursor of this list",
    "NUL characters",
    "No such date-time",
    "The body and the Idempotency-Key header hold different keys",
    "Write at least one character",
    "actor and actor_id are one filter",
    "request and request_id are one filter",
    "task and task_id are one filter",
    # of a file
    "No header was found",
    "The file is empty",
    "The file is not UTF-8",
    "The columns are",
    "The header lacks it",
    "The header names it twice",
    "No such column",
)


def _is_of_a_rule_unsaid(response: schemathesis.Response) -> bool:
    if response.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
        return False
    return all(error["message"].startswith(UNSAID) for error in response.json()["field_errors"])


def _rejects_some(case: schemathesis.Case[Any], response: schemathesis.Response) -> bool:
    """Return whether it is the answer to a batch, of which a command that does not fit is rejected alone."""
    of_a_batch = case.operation.path == "/v1/tasks/batch"
    return of_a_batch and response.status_code < httpx.codes.BAD_REQUEST and response.json()["rejected"] > 0


def _is_known(response: schemathesis.Response) -> bool:
    """Return whether it is the answer to a key that was used before; what else came with the key was not looked at."""
    return bool(response.headers.get("idempotent-replayed"))


@schemathesis.serializer("text/csv", "application/x-ndjson")
def _as_a_file(_context: schemathesis.SerializationContext, value: Any) -> bytes:  # noqa: ANN401 (of any schema)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schema.parametrize()
@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_documented(case: schemathesis.Case[Any], web: str, api: Api) -> None:
    response = case.call(base_url=web, headers={"Authorization": f"Bearer {api.token}"})

    excluded = [positive_data_acceptance] if _is_of_a_rule_unsaid(response) else []
    if _rejects_some(case, response) or _is_known(response):
        excluded.append(negative_data_rejection)
    case.validate_response(response, excluded_checks=excluded)
