"""bellwire.cli.settings.coerce: text and TOML become the type of the setting."""

from __future__ import annotations

import enum
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from bellwire.cli.settings.coerce import from_text, from_toml


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("16", int, 16),
        ("1_000_000", int, 1_000_000),
        ("2.5", float, 2.5),
        ("0.30", Decimal, Decimal("0.30")),
        ("on", bool, True),
        ("No", bool, False),
        ("a", str, "a"),
        ("a,b", tuple[str, ...], ("a", "b")),
        ("", tuple[str, ...], ()),
        ('["a,b", "c"]', tuple[str, ...], ("a,b", "c")),
        ("1, 2", tuple[int, ...], (1, 2)),
        ("", int | None, None),
        ("3", int | None, 3),
        ("/tmp/x", Path, Path("/tmp/x")),
        ("HIGH", Level, Level.HIGH),
        ("low", Level, Level.LOW),
        ("a", Literal["a", "b"], "a"),
        ('{"a": 1}', dict[str, int], {"a": 1}),
    ],
)
def test_text_becomes_the_type_of_the_setting(text, hint, value):
    assert from_text(text, hint) == value
    assert type(from_text(text, hint)) is type(value)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("x", int, "int"),
        ("1.5", int, "int"),
        ("x", Decimal, "Decimal"),
        ("maybe", bool, "true or false"),
        ("middle", Level, "low | high"),
        ("[1,", tuple[int, ...], "a,b"),
        ("[1]", dict[str, int], "a JSON object"),
        ("{", dict[str, int], "a JSON object"),
    ],
)
def test_text_of_another_type_is_refused_in_words(text, hint, expected):
    with pytest.raises(ValueError, match=expected):
        from_text(text, hint)


@pytest.mark.parametrize(
    ("found", "hint", "value"),
    [
        (1, float, 1.0),
        (1, Decimal, Decimal(1)),
        ("0.1", Decimal, Decimal("0.1")),
        (["a"], tuple[str, ...], ("a",)),
        ("low", Level, Level.LOW),
        (3, int | None, 3),
    ],
)
def test_toml_values_become_the_type_of_the_setting(found, hint, value):
    assert from_toml(found, hint) == value


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        ("1", int),
        ("true", bool),
        (1.5, int),
        (1, str),
        ("a", tuple[str, ...]),
        ([1], tuple[str, ...]),
    ],
)
def test_toml_values_of_another_type_are_refused(found, hint):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are tested above
        from_toml(found, hint)
