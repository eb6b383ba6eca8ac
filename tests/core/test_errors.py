"""One set of codes, and what a problem document says (RFC 9457)."""

import pytest

from core import errors
from core.errors import DomainError, FieldError, QueueFull, RecordedFailure, Unavailable, ValidationFailed


def _kinds(base: type[DomainError] = DomainError) -> list[type[DomainError]]:
    return [kind for each in base.__subclasses__() for kind in (each, *_kinds(each))]


def test_every_code_of_the_contract_has_its_status() -> None:
    contract = {
        "unauthorized": 401,
        "missing_required_scope": 403,
        "validation_failed": 422,
        "resource_not_found": 404,
        "idempotency_conflict": 409,
        "invalid_status_transition": 409,
        "queue_full": 429,
        "payload_too_large": 413,
        "unavailable": 503,
        "internal_error": 500,
    }

    found = {kind.code: kind.status for kind in _kinds() if kind.__module__ == errors.__name__}

    assert contract.items() <= found.items()


@pytest.mark.parametrize(
    ("error", "retryable", "retry_after"),
    [(QueueFull(), True, 1), (Unavailable(), True, 2), (ValidationFailed([]), False, None)],
)
def test_an_error_says_whether_and_when_to_try_again(
    error: DomainError, *, retryable: bool, retry_after: int | None
) -> None:
    problem = error.problem(request_id="req_1", instance="/v1/tasks")

    assert problem["retryable"] is retryable
    assert problem.get("retry_after_seconds") == error.retry_after == retry_after


def test_a_validation_error_names_every_field() -> None:
    error = ValidationFailed([FieldError(f"field_{number}", "is wrong") for number in range(5)])

    problem = error.problem(request_id="req_1", instance="/v1/tasks")

    assert [each["field"] for each in problem["field_errors"]] == [f"field_{number}" for number in range(5)]
    assert problem["code"] == "validation_failed"


def test_a_recorded_failure_reads_back_as_it_was_recorded() -> None:
    recorded = ValidationFailed([FieldError("completed_note", "no")]).problem(request_id="req_1", instance="/old")

    problem = RecordedFailure(recorded).problem(request_id="req_2", instance="/new")

    assert problem == {**recorded, "instance": "/new"}
