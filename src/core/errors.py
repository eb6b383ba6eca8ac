"""What can be wrong, each with the code that HTTP, MCP and the audit trail share (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Problem = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One member of the input that is not acceptable, and why."""

    field: str
    message: str


class DomainError(Exception):
    """A refusal that a caller can understand; `status` is its HTTP status."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **extensions: Any) -> None:
        """Take the sentence for this occurrence, and members that only this kind of error has."""
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions

    def problem(self, *, request_id: str, instance: str) -> Problem:
        """Return the problem document (RFC 9457, section 3) with Baton's members."""
        return {
            "type": f"urn:baton:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "request_id": request_id,
            "retryable": self.retryable,
            **self.extensions,
        }

    @property
    def retry_after(self) -> int | None:
        """Seconds after which a retry makes sense, where that is known."""
        return self.extensions.get("retry_after_seconds")


class Unauthorized(DomainError):
    """The caller did not prove who it is."""

    code, status, title = "unauthorized", 401, "A valid bearer token is required"


class NoToken(Unauthorized):
    """The caller sent no bearer token, so that there is none to find fault with."""


class MissingRequiredScope(DomainError):
    """The token does not include the scope required for this operation."""

    code, status, title = "missing_required_scope", 403, "The token lacks a required scope"

    def __init__(self, scope: str) -> None:
        """Name the scope that the operation needs."""
        super().__init__(f"This operation needs a token with the scope {scope}.", required_scope=scope)
        self.scope = scope


class ValidationFailed(DomainError):
    """The request payload failed schema validation."""

    code, status, title = "validation_failed", 422, "The request is not valid"

    def __init__(self, field_errors: Sequence[FieldError]) -> None:
        """Name every member that is wrong."""
        named = "; ".join(f"{error.field}: {error.message}" for error in field_errors[:3])
        errors = [{"field": error.field, "message": error.message} for error in field_errors]
        super().__init__(named, field_errors=errors)


class ResourceNotFound(DomainError):
    """The requested resource does not exist in this workspace."""

    code, status, title = "resource_not_found", 404, "No such resource in this workspace"


class MethodNotAllowed(DomainError):
    """The resource exists and has no such method (RFC 9110, section 15.5.6)."""

    code, status, title = "method_not_allowed", 405, "The resource does not have this method"


class Misdirected(DomainError):
    """The request names a host that this service is not known by (RFC 9110, section 15.5.20)."""

    code, status, title = "misdirected_request", 421, "The service does not have this address"


class IdempotencyConflict(DomainError):
    """The idempotency key was used before, for another command."""

    code, status, title = "idempotency_conflict", 409, "The idempotency key belongs to another command"


class InvalidStatusTransition(DomainError):
    """The task cannot go from its status to the one requested."""

    code, status, title = "invalid_status_transition", 409, "The task cannot change to this status"


class PayloadTooLarge(DomainError):
    """The request body is larger than the service accepts."""

    code, status, title = "payload_too_large", 413, "The request body is too large"


class UnsupportedMediaType(DomainError):
    """The request body is compressed, and the service decompresses none (RFC 9110, section 15.5.16)."""

    code, status, title = "unsupported_media_type", 415, "The request body cannot be read"


class QueueFull(DomainError):
    """More writes are waiting than the service takes at a time; nothing was accepted."""

    code, status, title, retryable = "queue_full", 429, "Too many writes are waiting", True

    def __init__(self, retry_after: int = 1) -> None:
        """Say after how many seconds to try again."""
        super().__init__(
            "The write was not accepted because too many are waiting. Send it again.",
            retry_after_seconds=retry_after,
        )


class Unavailable(DomainError):
    """The database cannot be reached; nothing is known to have been accepted."""

    code, status, title, retryable = "unavailable", 503, "The service is not available", True

    def __init__(self, detail: str = "The database cannot be reached.", retry_after: int = 2) -> None:
        """Say after how many seconds to try again."""
        super().__init__(detail, retry_after_seconds=retry_after)


class InternalError(DomainError):
    """Something failed that the caller cannot mend."""

    code, status, title = "internal_error", 500, "Something went wrong inside the service"


class RecordedFailure(DomainError):
    """A failure read back from a finished request; its own members override the class's."""

    code, status, title = "internal_error", 500, InternalError.title

    def __init__(self, problem: Mapping[str, Any], *, replayed: bool = False) -> None:
        """Take the problem document that the request was finished with, and whether it is told again."""
        super().__init__(problem["detail"])
        self.recorded = dict(problem)
        self.replayed = replayed

    def problem(self, *, request_id: str, instance: str) -> Problem:
        """Return the recorded document; only `instance` is of this exchange."""
        del request_id
        return {**self.recorded, "instance": instance}
