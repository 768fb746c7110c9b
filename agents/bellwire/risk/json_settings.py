"""Settings dataclasses as JSON values and back: how they cross to an agent's process."""

import dataclasses
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from bellwire.risk.decimal_text import decimal_text, parse_decimal
from bellwire.wire.settings import SettingsError

T = TypeVar("T")


def to_json(settings: Any) -> dict[str, object]:
    """Return a settings dataclass as JSON values: decimals as text, tuples as lists."""
    return {
        field.name: _json_value(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
    }


def from_json(cls: type[T], values: object) -> T:
    """Return the settings that JSON values stand for; what is absent keeps its default.

    Raises:
        SettingsError: no object, an unknown name, or a value that does not fit; the message names it.
    """
    if not isinstance(values, Mapping):
        raise SettingsError(cls.__name__, "", values, "an object of settings")
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    for name in values:
        if name not in known:
            raise SettingsError(cls.__name__, str(name), values[name], f"one of {known}")
    return cls(**{name: _value(cls, name, hints[name], given) for name, given in values.items()})


def _value(cls: type[Any], name: str, hint: Any, given: object) -> object:
    if dataclasses.is_dataclass(hint):
        nested = typing.cast(type[Any], hint)
        return given if isinstance(given, nested) else from_json(nested, given)
    if hint is Decimal and isinstance(given, str | int) and not isinstance(given, bool):
        number = parse_decimal(str(given))
        if number is None:
            raise SettingsError(cls.__name__, name, given, "a plain decimal")
        return number
    if typing.get_origin(hint) is tuple and isinstance(given, list):
        return tuple(given)
    return given


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    return value
