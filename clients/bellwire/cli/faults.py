"""How a verb ends: exit codes, and the errors that carry one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, Final

from bellwire.wire.errors import BellwireError, DataFolderError, DataLockedError, SchemaVersionError

__all__ = [
    "DATA_FAULTS",
    "CommandError",
    "ExitCode",
    "IncompleteAnswer",
    "UsageFault",
    "check_complete",
]

# What is wrong with a folder somebody named. A corrupt database is not among them: that is no mistake of
# the command line.
DATA_FAULTS: Final = (DataLockedError, DataFolderError, SchemaVersionError)


class ExitCode(IntEnum):
    """What the shell gets."""

    OK = 0
    """The verb did what was asked."""
    FAILURE = 1
    """It was asked rightly and failed."""
    USAGE = 2
    """The command line or the configuration is wrong; nothing was tried."""
    INCOMPLETE = 3
    """What could be had was printed, and something is missing in it; the error says what."""
    INTERRUPTED = 130
    """Ctrl-C ended unfinished work (128 + SIGINT, as shells have it)."""


class CommandError(Exception):
    """A verb failed; the text is the one line the user reads."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, message: str, *, details: str = "") -> None:
        """Take the line, and text to show below it as it is (the end of a log)."""
        self.details = details
        super().__init__(message)


class IncompleteAnswer(CommandError):
    """What was printed is not all of it."""

    exit_code = ExitCode.INCOMPLETE


class UsageFault(CommandError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


def check_complete(missing: Mapping[str, BellwireError]) -> None:
    """Refuse to be content with an answer in which groups of coordinators are missing.

    Raises:
        IncompleteAnswer: Some are; names them, and why.
    """
    if missing:
        told = "; ".join(f"{group!r}: {error.message}" for group, error in missing.items())
        raise IncompleteAnswer(
            f"the list is without the topics of {len(missing)} of the groups: {told}"
        )
