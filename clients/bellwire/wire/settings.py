"""Settings: frozen dataclasses whose fields carry unit, range and the reason of their default.

Each layer owns its section of the settings tree and stays free of pydantic::

    @dataclass(frozen=True, slots=True)
    class ClientSettings:
        timeout_seconds: float = field(
            default=5.0, metadata=setting(unit="s", why="...", gt=0, le=3600)
        )

        def __post_init__(self) -> None:
            check_settings(self)

The command line reads files, environment and flags into these classes; see `bellwire.cli.settings`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from bellwire.wire.errors import CallerError

__all__ = [
    "HIDDEN",
    "SettingInfo",
    "SettingsError",
    "check_settings",
    "setting",
    "setting_info",
    "shown",
    "without_password",
]

METADATA_KEY: Final = "bellwire.setting"
HIDDEN: Final = "***"  # Instead of a secret.
GROUPED_FROM: Final = 10_000

_Field: TypeAlias = "tuple[str, Any, SettingInfo | None]"  # name, type, what is known of it


class SettingsError(CallerError):
    """A setting has a value that cannot be used."""

    reason = "SETTING_INVALID"

    def __init__(self, section: str, name: str, found: object, expected: str) -> None:
        """Name the section (or class), the field, what it holds and what it may hold."""
        self.section = section
        self.name = name
        self.found = found
        self.expected = expected
        super().__init__(f"{section}.{name} is {found!r}; expected {expected}")


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What the documentation and the checks know of one field."""

    unit: str
    why: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def range_text(self) -> str:
        """The allowed range for people, for example ``1..1024``; empty when nothing bounds it."""
        if self.choices:
            return " | ".join(self.choices)
        low = self.ge if self.ge is not None else self.gt
        if low is None and self.le is None:
            return ""
        if low is not None and self.le is not None and self.gt is None:
            return f"{_number_text(low)}..{_number_text(self.le)}"
        parts = []
        if low is not None:
            parts.append(f"{'≥' if self.gt is None else '>'} {_number_text(low)}")
        if self.le is not None:
            parts.append(f"≤ {_number_text(self.le)}")
        return ", ".join(parts)

    def allows(self, value: object) -> bool:
        """Tell whether a value of the right type is within the range."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return True
        if not math.isfinite(value):
            return False
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
        )


def setting(
    *,
    unit: str,
    why: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> dict[str, SettingInfo]:
    """Return the `metadata` of a settings field.

    Args:
        unit: Unit of the value, for example "ms", "bytes", "messages"; "" for names and switches.
        why: The reason of the default, one sentence.
        ge: Smallest number allowed.
        gt: Number the value must be above.
        le: Largest number allowed.
        choices: The only strings allowed.
        secret: Never shown to anybody.
    """
    info = SettingInfo(unit, why, ge=ge, gt=gt, le=le, choices=choices, secret=secret)
    return {METADATA_KEY: info}


def setting_info(field: dataclasses.Field[Any]) -> SettingInfo | None:
    """Return what `setting()` stored on a dataclass field, or None for a plain field."""
    info = field.metadata.get(METADATA_KEY)
    return info if isinstance(info, SettingInfo) else None


def shown(value: object, info: SettingInfo | None) -> object:
    """Return what people and logs may see of a value: a secret that is set is hidden."""
    return HIDDEN if info is not None and info.secret and value else value


def without_password(url: str) -> str:
    """Return a URL with its password, or a user without one, as "***": for people and logs."""
    scheme, slashes, rest = url.partition("://")
    secret, at, place = rest.rpartition("@")
    user, colon, _ = secret.partition(":")
    shown = f"{user}{colon}" if colon else ""
    return f"{scheme}{slashes}{shown}{HIDDEN if secret else ''}{at}{place}"


def check_settings(instance: object) -> None:
    """Check type and range of every field of a settings dataclass; call it in `__post_init__`.

    Raises:
        SettingsError: Naming the class, the field, the value found and what is expected.
    """
    section = type(instance).__name__
    for name, hint, info in _checked_fields(type(instance)):
        value = getattr(instance, name)
        is_fine = _has_type(value, hint) and (info is None or value is None or info.allows(value))
        if not is_fine:
            raise SettingsError(section, name, shown(value, info), _expected_text(hint, info))


# Filled once per settings class, of which a program has a few dozen.
_FIELDS: Final[dict[type[object], tuple[_Field, ...]]] = {}


def _checked_fields(cls: type[object]) -> tuple[_Field, ...]:
    found = _FIELDS.get(cls)
    if found is None:
        hints = typing.get_type_hints(cls)
        fields = dataclasses.fields(typing.cast("type[Any]", cls))
        found = tuple((field.name, hints[field.name], setting_info(field)) for field in fields)
        _FIELDS[cls] = found
    return found


def _has_type(value: object, hint: Any) -> bool:
    """Check the types that settings are made of; hints of other kinds are left to their owner."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_has_type(value, arm) for arm in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is tuple:
        arms = typing.get_args(hint)
        if not isinstance(value, tuple):
            return False
        return arms[-1] is not Ellipsis or all(_has_type(item, arms[0]) for item in value)
    if hint is float:
        # An integer is a fine number of seconds; True is not.
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _expected_text(hint: Any, info: SettingInfo | None) -> str:
    kind = getattr(hint, "__name__", None) if isinstance(hint, type) else None
    words = [kind or str(hint).replace("typing.", "")]
    if info is not None and info.range_text:
        words.append(f"({info.range_text})" if info.choices else info.range_text)
    if info is not None and info.unit:
        words.append(f"[{info.unit}]")
    return " ".join(words)


def _number_text(number: int | float) -> str:
    if isinstance(number, float):
        return f"{number:g}"
    # Grouped as TOML and Python read it back; four digits are legible without.
    return f"{number:_}" if abs(number) >= GROUPED_FROM else str(number)
