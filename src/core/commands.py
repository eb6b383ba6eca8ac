"""What a caller may ask to change: the base of every command, and the registry of their kinds."""

from collections.abc import Collection
from hashlib import sha256
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from core.tenancy.model import Scope

COMMANDS: dict[str, type["Command"]] = {}


class StrictModel(BaseModel):
    """Input from outside: unknown members and converted types are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Command(StrictModel):
    """One thing that a caller may ask to change. The docstring of a subclass is its MCP description."""

    kind: ClassVar[str]
    scope: ClassVar[Scope]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register the class under its kind; a kind is taken once."""
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" in cls.__dict__ and COMMANDS.setdefault(cls.kind, cls) is not cls:
            message = f"two commands are called {cls.kind}: {COMMANDS[cls.kind]} and {cls}"
            raise TypeError(message)

    @property
    def action(self) -> str:
        """The verb that the audit trail records, also when the command fails."""
        return self.kind

    @property
    def requested_status(self) -> str | None:
        """The status that the caller asked for."""
        return None

    @property
    def linked_resource(self) -> tuple[str, str] | None:
        """Type and id of the resource that the command names itself."""
        return None

    def target(self, request_id: str) -> tuple[str, str]:
        """Return type and id of what the command is about, and in whose line it waits; a new id where it makes it."""
        raise NotImplementedError

    def references(self) -> Collection[tuple[str, str]]:
        """Return type and id of what must exist beside the target: its handler is told which of it does."""
        return () if self.linked_resource is None else (self.linked_resource,)

    def payload(self) -> str:
        """Return the members that the caller gave, as JSON; equal commands give equal texts."""
        return self.model_dump_json(exclude_unset=True)

    def fingerprint(self, payload: str | None = None) -> bytes:
        """Return what tells two commands under one key apart (SHA-256); takes the payload where it is at hand."""
        return sha256(f"{self.kind}\n{payload or self.payload()}".encode()).digest()
