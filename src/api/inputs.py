"""From what a client sent to a command: members, idempotency key, and every refusal by the field's name."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema, from_json

from core.commands import Command, StrictModel
from core.errors import FieldError, ValidationFailed
from core.fields import IdempotencyKey

C = TypeVar("C", bound=Command)
A = TypeVar("A", bound=StrictModel)

KEY = "idempotency_key"
# More than anything has. Naming the faults of a whole body of them would take seconds, and an answer ten times as long.
_MOST_MEMBERS = 100
_NAME_END = re.compile(rb'"\s*:')
_KEY_ADAPTER: TypeAdapter[str] = TypeAdapter(IdempotencyKey)
KEY_FORM = _KEY_ADAPTER.json_schema()
# Leaves room for the position of a command, up to /999.
BATCH_KEY_FORM = {**KEY_FORM, "maxLength": KEY_FORM["maxLength"] - len("/999")}
_KEY_SCHEMA = {
    **KEY_FORM,
    "description": "Stable client-generated key that makes retries safe for this write.",
}


def field_errors(errors: Sequence[ErrorDetails], *, skip: int = 0) -> list[FieldError]:
    """Return pydantic's findings by field; a rule over several members names its field in the error's type."""
    return [
        FieldError(".".join(map(str, error["loc"][skip:])) or error["type"], error["msg"].removeprefix("Value error, "))
        for error in errors
    ]


def found_in(error: ValidationError) -> list[ErrorDetails]:
    """Return what pydantic found, without the input: errors do not repeat what a caller sent."""
    return error.errors(include_url=False, include_input=False, include_context=False)


def parse_members(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object.

    Raises:
        ValidationFailed: not JSON (RFC 8259), not UTF-8, not an object, or one that has a member twice.

    """
    try:
        members = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ValidationFailed([FieldError("body", f"Not valid JSON: {error}")]) from error
    refuse_repeated(body, members)
    return as_object(members)


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON value that is an object; raises ValidationFailed for any other."""
    if not isinstance(value, dict):
        raise ValidationFailed([FieldError("body", "Send a JSON object")])
    return value


def refuse_repeated(body: bytes, parsed: object) -> None:
    """Raise ValidationFailed for valid JSON that two parsers may understand differently (RFC 8259, section 4)."""
    # Each member has such an end of its name, and a text may hold some more. Where there are no more of them than
    # members that are left, none is gone; else the body is parsed once more, which costs as much as all else here.
    if len(_NAME_END.findall(body)) > _members_in(parsed):
        json.loads(body, object_pairs_hook=_once)


def _members_in(value: object) -> int:
    """Return how many members all the objects in a JSON value have together."""
    if isinstance(value, dict):
        return len(value) + sum(map(_members_in, value.values()))
    return sum(map(_members_in, value)) if isinstance(value, list) else 0


def _once(members: list[tuple[str, Any]]) -> None:
    if len(dict(members)) < len(members):
        repeated = [name for name, count in Counter(name for name, _ in members).items() if count > 1]
        raise ValidationFailed([FieldError(name, "Give it once") for name in repeated[:_MOST_MEMBERS]])


def parse_command(
    kind: type[C], members: dict[str, Any], header_key: str | None = None, **given: str
) -> tuple[C, str | None]:
    """Return the command and its idempotency key, which may come as a member, in a header, or alike in both.

    `given` are members that come from elsewhere, such as the path, and not from what the client sent.

    Raises:
        ValidationFailed: some members are not acceptable; all of them are named.

    """
    _refuse_masses(members)
    key, refused = _parse_key(members, header_key)
    refused += [FieldError(name, "Extra inputs are not permitted") for name in given if name in members]
    try:
        command = kind.model_validate({name: value for name, value in (members | given).items() if name != KEY})
    except ValidationError as error:
        raise ValidationFailed(field_errors(found_in(error)) + refused) from error
    if refused:
        raise ValidationFailed(refused)
    return command, key


def _refuse_masses(members: Mapping[str, Any]) -> None:
    if len(members) > _MOST_MEMBERS:
        raise ValidationFailed([FieldError("body", f"Send {_MOST_MEMBERS} members at most")])


def _parse_key(members: Mapping[str, Any], header_key: str | None) -> tuple[str | None, list[FieldError]]:
    if KEY not in members and header_key is None:
        return None, []
    key = members.get(KEY, header_key)
    if header_key is not None and key != header_key:
        return None, [FieldError(KEY, "The body and the Idempotency-Key header hold different keys")]
    try:
        return _KEY_ADAPTER.validate_python(key, strict=True), []
    except ValidationError as error:
        return None, [FieldError(KEY, found["msg"]) for found in found_in(error)]


def parse_header_key(header_key: str | None) -> str | None:
    """Return the key of a call that can have it in its header only; raises ValidationFailed where it is none."""
    key, refused = _parse_key({}, header_key)
    if refused:
        raise ValidationFailed(refused)
    return key


def parse_batch_key(header_key: str | None) -> str | None:
    """Return the key of a batch, of which the keys of its commands are made: KEY/0, KEY/1 and so on.

    Raises:
        ValidationFailed: it is no idempotency key, or too long to have a position appended.

    """
    key, most = parse_header_key(header_key), BATCH_KEY_FORM["maxLength"]
    if key is not None and len(key) > most:
        raise ValidationFailed([FieldError(KEY, f"The key of a batch may have {most} characters at most")])
    return key


def parse_arguments(kind: type[A], members: Mapping[str, Any]) -> A:
    """Return the arguments of a read.

    Raises:
        ValidationFailed: some members are not acceptable; all of them are named.

    """
    _refuse_masses(members)
    try:
        return kind.model_validate(members)
    except ValidationError as error:
        raise ValidationFailed(field_errors(found_in(error))) from error


class ContractSchema(GenerateJsonSchema):
    """JSON Schema in the contract's form: a member that may be absent has no default and no null."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out `"default": null`, which means absent."""
        json_schema = super().default_schema(schema)
        if json_schema.get("default", ...) is None:
            del json_schema["default"]
        return json_schema


def input_schema(kind: type[Command], *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the JSON Schema of a command's members and its idempotency key, in the contract's form."""
    schema = arguments_schema(kind, without=without)
    return {**schema, "properties": {**schema["properties"], KEY: _KEY_SCHEMA}}


def arguments_schema(kind: type[StrictModel], *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the JSON Schema of a model's members, in the contract's form."""
    schema = kind.model_json_schema(schema_generator=ContractSchema)
    members = schema["properties"]
    return {
        "type": "object",
        "properties": {name: _without_title(member) for name, member in members.items() if name not in without},
        "required": [name for name in schema.get("required", ()) if name not in without],
        "additionalProperties": False,
    }


def _without_title(member: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name != "title"}
