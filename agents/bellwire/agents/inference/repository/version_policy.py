"""Which of a model's versions are to be loaded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

LATEST_MAX: Final = 16
_LATEST: Final = re.compile(r"latest:([1-9][0-9]?)")
_SPECIFIC: Final = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest that can be loaded: a version that cannot does not take a place, an older one does."""

    count: int = 1

    def order(self, versions: Sequence[int]) -> tuple[int, ...]:
        """Return those to try, in order, until `count` of them are loaded."""
        return tuple(sorted(versions, reverse=True))

    def places(self, _versions: Sequence[int]) -> int:
        """Return how many of them are to be loaded."""
        return self.count


@dataclass(frozen=True, slots=True)
class AllVersions:
    """All there are, newest first."""

    def order(self, versions: Sequence[int]) -> tuple[int, ...]:
        """Return those to try, in order."""
        return tuple(sorted(versions, reverse=True))

    def places(self, versions: Sequence[int]) -> int:
        """Return how many of them are to be loaded."""
        return len(versions)


@dataclass(frozen=True, slots=True)
class Specific:
    """These and no others."""

    versions: tuple[int, ...]

    def order(self, versions: Sequence[int]) -> tuple[int, ...]:
        """Return those to try, in order."""
        return tuple(sorted(set(versions) & set(self.versions), reverse=True))

    def places(self, _versions: Sequence[int]) -> int:
        """Return how many of them are to be loaded."""
        return len(self.versions)


VersionPolicy: TypeAlias = Latest | AllVersions | Specific


def parse_policy(text: str) -> VersionPolicy:
    """Read "latest:2", "all" or "1,3,4".

    Raises:
        ValueError: It is none of them.
    """
    if text == "all":
        return AllVersions()
    latest = _LATEST.fullmatch(text)
    if latest and int(latest[1]) <= LATEST_MAX:
        return Latest(int(latest[1]))
    if _SPECIFIC.fullmatch(text):
        return Specific(tuple(map(int, text.split(","))))
    raise ValueError(f"{text!r} is no policy")
