"""bellwire.wire.settings: fields that explain themselves and refuse what cannot be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import pytest

from bellwire.wire.errors import CallerError
from bellwire.wire.settings import SettingInfo, SettingsError, check_settings, setting, setting_info


@dataclass(frozen=True, slots=True)
class Sample:
    count: int = field(default=2, metadata=setting(unit="messages", why="w", ge=1, le=10))
    wait: float = field(default=0.5, metadata=setting(unit="s", why="w", gt=0))
    limit: Decimal = field(default=Decimal("1.5"), metadata=setting(unit="EUR", why="w", ge=0))
    on: bool = field(default=True, metadata=setting(unit="", why="w"))
    mode: Literal["a", "b"] = field(
        default="a", metadata=setting(unit="", why="w", choices=("a", "b"))
    )
    listen: tuple[str, ...] = field(default=("x",), metadata=setting(unit="", why="w"))
    path: str | None = field(default=None, metadata=setting(unit="", why="w"))

    def __post_init__(self) -> None:
        check_settings(self)


def test_defaults_pass_their_own_check():
    assert Sample().count == 2


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", 0, "int 1..10 [messages]"),
        ("count", 11, "int 1..10 [messages]"),
        ("count", True, "int 1..10 [messages]"),
        ("count", "3", "int 1..10 [messages]"),
        ("count", 2.0, "int 1..10 [messages]"),
        ("wait", 0, "float > 0 [s]"),
        ("wait", float("nan"), "float > 0 [s]"),
        ("wait", float("inf"), "float > 0 [s]"),
        ("limit", Decimal("-0.1"), "Decimal ≥ 0 [EUR]"),
        ("limit", Decimal("NaN"), "Decimal ≥ 0 [EUR]"),
        ("limit", 1, "Decimal ≥ 0 [EUR]"),
        ("on", 1, "bool"),
        ("mode", "c", "Literal['a', 'b'] (a | b)"),
        ("listen", ["x"], "tuple[str, ...]"),
        ("listen", ("x", 1), "tuple[str, ...]"),
        ("path", 1, "str | None"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_field_value_and_range(name, value, expected):
    with pytest.raises(SettingsError) as caught:
        Sample(**{name: value})
    error = caught.value
    assert (error.section, error.name, error.expected) == ("Sample", name, expected)
    assert f"Sample.{name} is {value!r}; expected {expected}" == error.message


def test_a_whole_number_is_a_fine_number_of_seconds():
    assert Sample(wait=3).wait == 3


def test_the_ends_of_a_closed_range_are_allowed():
    assert (Sample(count=1).count, Sample(count=10).count) == (1, 10)


def test_a_settings_error_is_the_callers_fault_and_not_worth_a_retry():
    error = SettingsError("A", "b", 1, "2")
    assert isinstance(error, CallerError)
    assert not error.retryable


def test_a_field_gives_back_what_was_said_of_it():
    by_name = {f.name: setting_info(f) for f in dataclasses.fields(Sample)}
    assert by_name["count"] == SettingInfo(unit="messages", why="w", ge=1, le=10)


def test_a_plain_field_has_no_info_and_is_checked_for_its_type_only():
    @dataclass(frozen=True)
    class Plain:
        size: int = 1

    assert setting_info(dataclasses.fields(Plain)[0]) is None


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (SettingInfo("", "", ge=1, le=1024), "1..1024"),
        (SettingInfo("", "", ge=0.01, le=1.0), "0.01..1"),
        (SettingInfo("", "", ge=1), "≥ 1"),
        (SettingInfo("", "", gt=0, le=1), "> 0, ≤ 1"),
        (SettingInfo("", "", le=5), "≤ 5"),
        (SettingInfo("", "", choices=("a", "b")), "a | b"),
        (SettingInfo("", ""), ""),
    ],
)
def test_a_range_reads_well(info, text):
    assert info.range_text == text
