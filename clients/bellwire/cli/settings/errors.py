"""What can be wrong with a configuration, in words that name the file, the key and the way out."""

from __future__ import annotations

from typing import ClassVar

from bellwire.cli.faults import ExitCode
from bellwire.wire.errors import CallerError

__all__ = ["ConfigError", "ConfigFileError", "InvalidValueError", "UnknownKeyError"]


class ConfigError(CallerError):
    """The configuration cannot be used."""

    reason = "CONFIG_INVALID"
    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class ConfigFileError(ConfigError):
    """The configuration file cannot be read or is not TOML."""

    reason = "CONFIG_FILE_INVALID"

    def __init__(self, path: str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        self.path = path
        super().__init__(f"{path}: {problem}")


class UnknownKeyError(ConfigError):
    """The configuration names a key that no section has."""

    reason = "CONFIG_UNKNOWN_KEY"

    def __init__(self, where: str, key: str, nearest: str | None) -> None:
        """Name the place, the key found there and the nearest known key."""
        self.where = where
        self.key = key
        self.nearest = nearest
        hint = f"did you mean {nearest}?" if nearest else "`bellwire config show` lists all keys"
        super().__init__(f"{where}: unknown key {key}; {hint}")


class InvalidValueError(ConfigError):
    """A key holds a value that its setting cannot take."""

    reason = "CONFIG_INVALID_VALUE"

    def __init__(self, where: str, key: str, found: object, expected: str) -> None:
        """Name the place, the key, what it holds and what it may hold."""
        self.where = where
        self.key = key
        self.found = found
        self.expected = expected
        super().__init__(f"{where}: {key} is {found!r}; expected {expected}")
