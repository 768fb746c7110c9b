"""Turn what a file, the environment or a flag holds into the type of a setting."""

from __future__ import annotations

import enum
import json
import types
import typing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

__all__ = ["from_text", "from_toml"]

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def from_text(text: str, hint: Any) -> object:
    """Read one value of the environment or of a flag.

    Lists are written `a,b` or as JSON; an optional setting is unset by an empty text.

    Raises:
        ValueError: When the text is not of that type; the message says what is expected.
    """
    arms = _optional_arms(hint)
    if arms is not None:
        return None if text == "" else from_text(text, arms)
    origin = typing.get_origin(hint)
    if hint is bool:
        return _bool(text)
    if origin is tuple or hint is tuple:
        return _tuple(text, typing.get_args(hint))
    if origin is dict:
        return _json_object(text)
    return _scalar(text, hint)


def from_toml(value: object, hint: Any) -> object:
    """Read one value of a TOML file, which has types of its own.

    Raises:
        ValueError: When the value is not of that type; the message says what is expected.
    """
    arms = _optional_arms(hint)
    if arms is not None:
        return from_toml(value, arms)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError("a list")
        item_hint = typing.get_args(hint)[0]
        return tuple(from_toml(item, item_hint) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Decimal and isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, str) and isinstance(hint, type) and hint is not str:
        # A number in quotes is a slip worth telling; these types have no other form in TOML.
        if issubclass(hint, Decimal | Path | enum.Enum):
            return _scalar(value, hint)
        raise ValueError(f"{hint.__name__} without quotes")
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ValueError(hint.__name__)
    return value


def _optional_arms(hint: Any) -> Any | None:
    """Return X of `X | None`, or None when the hint is no optional."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return None
    arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
    return arms[0] if arms else None


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def _tuple(text: str, arms: tuple[Any, ...]) -> tuple[object, ...]:
    item_hint = arms[0] if arms else str
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"a,b,… or a JSON list ({error})") from None
        return tuple(from_toml(item, item_hint) for item in items)
    return tuple(from_text(item.strip(), item_hint) for item in text.split(",") if item.strip())


def _json_object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"a JSON object ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("a JSON object")
    return found


def _scalar(text: str, hint: Any) -> object:
    if typing.get_origin(hint) is typing.Literal:
        return text  # check_settings knows the words allowed
    if not isinstance(hint, type) or hint is str:
        return text
    if issubclass(hint, enum.Enum):
        return _enum(text, hint)
    try:
        if issubclass(hint, int | float | Decimal):
            return hint(text.replace("_", ""))
        return Path(text) if issubclass(hint, Path) else text
    except (ValueError, InvalidOperation):
        raise ValueError(f"{hint.__name__}") from None


def _enum(text: str, hint: type[enum.Enum]) -> enum.Enum:
    for member in hint:
        if text.lower() in (member.name.lower(), str(member.value).lower()):
            return member
    raise ValueError(" | ".join(str(member.value) for member in hint))
