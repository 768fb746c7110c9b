"""Environments of peers whose pins differ from Bellwire's, and what is installed in them.

`make bench-peers` makes them. The harness itself runs in them, too: of it a worker imports only what
needs nothing but the standard library and uvloop.
"""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
INSTALLED: Final = ".installed"  # Left by the Makefile when everything is there.
INSTALL_LOG: Final = "install.log"
REASON_LINES_MAX: Final = 2  # pip says what failed in its last lines.


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment of the repository, made for one peer."""

    name: str
    root: Path = REPOSITORY

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.root / f".venv-bench-{self.name}"

    @property
    def interpreter(self) -> Path:
        """The interpreter that sees what is installed in it."""
        return self.folder / "bin" / "python"

    def missing(self) -> str | None:
        """Tell why it cannot be used, with the end of what pip said; None when it can."""
        if (self.folder / INSTALLED).exists() and self.interpreter.exists():
            return None
        hint = f"requirements/bench-{self.name}.txt is not installed (make bench-peers)"
        log = self.folder / INSTALL_LOG
        said = log.read_text(errors="replace").split("\n") if log.exists() else []
        words = [line.strip() for line in said if line.strip()][-REASON_LINES_MAX:]
        return f"{hint}; pip said: {' / '.join(words)}" if words else hint

    def versions(self, *distributions: str) -> dict[str, str]:
        """Give the versions of the named distributions that it holds."""
        site_packages = [str(path) for path in self.folder.glob("lib/python*/site-packages")]
        found = {
            distribution.metadata["Name"].lower(): distribution.version
            for distribution in importlib.metadata.distributions(path=site_packages)
        }
        return {name: found[name] for name in distributions if name in found}
