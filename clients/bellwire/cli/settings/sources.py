"""Where values come from: `bellwire.toml`, `BELLWIRE_*` variables, flags. Raw, not yet typed."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bellwire.cli.settings.errors import ConfigFileError, InvalidValueError

__all__ = [
    "ENV_PREFIX",
    "Raw",
    "environment_name",
    "find_file",
    "read_env",
    "read_file",
    "read_set",
]

ENV_PREFIX: Final = "BELLWIRE_"
ENV_SEPARATOR: Final = "__"
CONFIG_VARIABLE: Final = "BELLWIRE_CONFIG"
DEFAULT_FILE: Final = "bellwire.toml"
CONFIG_BYTES_MAX: Final = 1 << 20  # A settings file is a few KiB; more is the wrong file.

Kind = Literal["default", "file", "env", "flag"]


@dataclass(frozen=True, slots=True)
class Raw:
    """One value as found: `text` sources are parsed to the setting's type, TOML and flags checked."""

    key: str  # dotted, with its section: "coordinator.workers"
    value: object
    kind: Kind
    where: str  # for people: a path, a variable name, a flag


def find_file(flag: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the configuration file in force: the flag, else `BELLWIRE_CONFIG`, else ./bellwire.toml.

    Raises:
        ConfigFileError: When a file that was asked for does not exist.
    """
    named = flag or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        default = cwd / DEFAULT_FILE
        return default if default.is_file() else None
    if not named.is_file():
        raise ConfigFileError(
            str(named), "no such file; create it, or leave --config away to use the defaults"
        )
    return named


def read_file(path: Path) -> list[Raw]:
    """Read a TOML file into dotted keys.

    Raises:
        ConfigFileError: When it cannot be read, is too large, or is not TOML.
    """
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigFileError(
                str(path), f"larger than {CONFIG_BYTES_MAX} bytes; not a settings file"
            )
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigFileError(str(path), f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigFileError(str(path), f"is not TOML: {error}") from None
    return [Raw(key, value, "file", str(path)) for key, value in _flatten(table, "")]


def _flatten(table: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, object]]:
    for name, value in table.items():
        # An empty table says nothing, but for [agents.NAME]: there its name does.
        if isinstance(value, dict) and (value or not prefix.startswith("agents.")):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def read_env(environ: Mapping[str, str]) -> list[Raw]:
    """Read `BELLWIRE_SECTION__KEY` variables; those without `__` are not settings."""
    return [
        Raw(
            name.removeprefix(ENV_PREFIX).lower().replace(ENV_SEPARATOR, "."),
            value,
            "env",
            f"environment {name}",
        )
        for name, value in sorted(environ.items())
        if name.startswith(ENV_PREFIX) and ENV_SEPARATOR in name
    ]


def environment_name(key: str) -> str:
    """Return the variable that sets a dotted key."""
    return ENV_PREFIX + key.replace(".", ENV_SEPARATOR).upper()


def read_set(assignments: Sequence[str]) -> list[Raw]:
    """Read `--set section.key=value` flags.

    Raises:
        InvalidValueError: When one is not of that form.
    """
    found = []
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise InvalidValueError("--set", key, text, "section.key=value")
        found.append(Raw(key.strip(), value, "flag", "--set"))
    return found


def working_directory() -> Path:
    """Return the directory `./bellwire.toml` is looked for in."""
    return Path(os.curdir)
