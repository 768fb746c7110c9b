"""Tool arguments: JSON Schema 2020-12 and the check of a call, both from the Python signature."""

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, Union

from bellwire.runtime.errors import AgentDefinitionError, InvalidToolArgumentsError

JsonSchema: TypeAlias = dict[str, object]
SCHEMA_BYTES_MAX: Final = 64 * 1024  # agent.proto: input_schema_json at most 64 KiB
SUPPORTED: Final = (
    "str, int, float, bool, list[T], dict[str, T], Literal of these, Optional[T] or T | None"
)


class ArgumentType(Protocol):
    """How one annotation looks in JSON Schema and which JSON values it takes."""

    def schema(self) -> JsonSchema:
        """Return its JSON Schema."""

    def check(self, value: object, path: str) -> object:
        """Return the value as the tool gets it, or raise InvalidToolArgumentsError."""


@dataclass(frozen=True, slots=True)
class AnyJson:
    """Any JSON value."""

    def schema(self) -> JsonSchema:
        return {}

    def check(self, value: object, path: str) -> object:
        return value


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, integer, number or boolean."""

    json_name: str
    accepts: tuple[type, ...]

    def schema(self) -> JsonSchema:
        return {"type": self.json_name}

    def check(self, value: object, path: str) -> object:
        # bool is an int in Python and neither an integer nor a number in JSON.
        if isinstance(value, bool) and bool not in self.accepts:
            raise _mismatch(path, self.json_name, value)
        if self.json_name == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)  # JSON Schema: 1.0 is an integer.
        if not isinstance(value, self.accepts):
            raise _mismatch(path, self.json_name, value)
        return float(value) if self.json_name == "number" and isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class ListOf:
    """A JSON array."""

    item: ArgumentType

    def schema(self) -> JsonSchema:
        return {"type": "array", "items": self.item.schema()}

    def check(self, value: object, path: str) -> object:
        if not isinstance(value, list):
            raise _mismatch(path, "array", value)
        return [self.item.check(item, f"{path}[{index}]") for index, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A JSON object with free keys."""

    item: ArgumentType

    def schema(self) -> JsonSchema:
        return {"type": "object", "additionalProperties": self.item.schema()}

    def check(self, value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise _mismatch(path, "object", value)
        return {key: self.item.check(item, f"{path}.{key}") for key, item in value.items()}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    values: tuple[object, ...]

    def schema(self) -> JsonSchema:
        return {"enum": list(self.values)}

    def check(self, value: object, path: str) -> object:
        for allowed in self.values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise _mismatch(path, f"one of {json.dumps(self.values)}", value)


@dataclass(frozen=True, slots=True)
class Nullable:
    """The inner type, or null."""

    inner: ArgumentType

    def schema(self) -> JsonSchema:
        return {"anyOf": [self.inner.schema(), {"type": "null"}]}

    def check(self, value: object, path: str) -> object:
        return None if value is None else self.inner.check(value, path)


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of one tool."""

    tool: str
    parameters: Mapping[str, ArgumentType]
    defaults: Mapping[str, object]
    injected: str | None = field(default=None)
    """Name of the parameter that gets the `CallContext`; not part of the schema."""

    def schema(self) -> JsonSchema:
        """Return the JSON Schema 2020-12 of the arguments object."""
        properties: dict[str, object] = {}
        for name, parameter in self.parameters.items():
            part = parameter.schema()
            if name in self.defaults:
                part["default"] = self.defaults[name]
            properties[name] = part
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": [name for name in self.parameters if name not in self.defaults],
            "additionalProperties": False,
        }

    def decode(self, arguments: bytes) -> dict[str, object]:
        """Return the keyword arguments in the JSON object; empty bytes mean `{}`.

        Raises:
            InvalidToolArgumentsError: No JSON object, or one that does not fit the schema.
        """
        given = self._parse(arguments)
        missing = [n for n in self.parameters if n not in given and n not in self.defaults]
        if missing:
            raise self._refuse(f"misses {_names(missing)}")
        extra = [name for name in given if name not in self.parameters]
        if extra:
            raise self._refuse(f"does not take {_names(extra)}")
        return {name: self.parameters[name].check(given[name], name) for name in given}

    def _parse(self, arguments: bytes) -> dict[str, object]:
        try:
            given = json.loads(arguments.decode() if arguments else "{}")
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise InvalidToolArgumentsError(
                f"arguments of tool {self.tool!r} are no UTF-8 JSON: {error}"
            ) from error
        if not isinstance(given, dict):
            raise self._refuse(f"got a JSON {_json_name(given)} instead of an object")
        return given

    def _refuse(self, what: str) -> InvalidToolArgumentsError:
        takes = ", ".join(n if n not in self.defaults else f"{n}?" for n in self.parameters)
        return InvalidToolArgumentsError(f"tool {self.tool!r} {what}; it takes ({takes})")


def signature_of(tool: str, method: Callable[..., Any], context_type: type) -> Signature:
    """Read the arguments of a tool method.

    Args:
        tool: Name for error messages.
        method: The function as defined in the class, `self` first.
        context_type: A parameter annotated with this class gets the call's context.

    Raises:
        AgentDefinitionError: An annotation is missing, unknown or not supported.
    """
    try:
        hints = typing.get_type_hints(method)
    except Exception as error:  # an annotation may raise anything
        raise AgentDefinitionError(
            f"annotations of tool {tool!r} cannot be read: {error}; import the names they use"
        ) from error
    parameters: dict[str, ArgumentType] = {}
    defaults: dict[str, object] = {}
    injected: str | None = None
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        _check_kind(tool, parameter)
        if parameter.name not in hints:
            raise AgentDefinitionError(
                f"parameter {parameter.name!r} of tool {tool!r} has no annotation; use {SUPPORTED}"
            )
        if hints[parameter.name] is context_type:
            injected = parameter.name
            continue
        parameters[parameter.name] = _argument_type(tool, parameter.name, hints[parameter.name])
        if parameter.default is not inspect.Parameter.empty:
            defaults[parameter.name] = _json_default(tool, parameter)
    return Signature(tool, parameters, defaults, injected)


_SCALARS: Final[dict[object, ArgumentType]] = {
    str: Scalar("string", (str,)),
    int: Scalar("integer", (int,)),
    float: Scalar("number", (float, int)),
    bool: Scalar("boolean", (bool,)),
    list: ListOf(AnyJson()),
    dict: MapOf(AnyJson()),
    object: AnyJson(),
    Any: AnyJson(),
}


def _argument_type(tool: str, name: str, hint: object) -> ArgumentType:
    """Translate one annotation."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return ListOf(_argument_type(tool, name, inner[0]))
    if origin is dict and inner[0] is str:
        return MapOf(_argument_type(tool, name, inner[1]))
    if origin is Literal and all(isinstance(value, (str, int, bool)) for value in inner):
        return OneOf(inner)
    if origin in (Union, types.UnionType) and len(inner) == 2 and type(None) in inner:
        some = inner[0] if inner[1] is type(None) else inner[1]
        return Nullable(_argument_type(tool, name, some))
    raise AgentDefinitionError(
        f"parameter {name!r} of tool {tool!r} is annotated {hint!r}, which has no JSON Schema "
        f"here; use {SUPPORTED}"
    )


def _check_kind(tool: str, parameter: inspect.Parameter) -> None:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if parameter.kind not in by_name:
        raise AgentDefinitionError(
            f"parameter {parameter.name!r} of tool {tool!r} cannot be passed by name; tools are "
            "called with a JSON object: remove *, ** and positional-only parameters"
        )


def _json_default(tool: str, parameter: inspect.Parameter) -> object:
    try:
        json.dumps(parameter.default, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AgentDefinitionError(
            f"default of parameter {parameter.name!r} of tool {tool!r} is no JSON value: {error}"
        ) from error
    default: object = parameter.default
    return default


def _mismatch(path: str, expected: str, value: object) -> InvalidToolArgumentsError:
    return InvalidToolArgumentsError(
        f"argument {path!r} must be {expected}, found {_json_name(value)}"
    )


def _json_name(value: object) -> str:
    names: dict[type, str] = {
        type(None): "null",
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return names.get(type(value), type(value).__name__)


def _names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
