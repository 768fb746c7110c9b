"""What is going on right now: one line that is written over on a terminal, nothing elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.status import Status

from bellwire.cli.loadtest.level_run import Interval
from bellwire.cli.loadtest.plan import Level
from bellwire.cli.loadtest.report_view import interval_text
from bellwire.cli.output import error_console

__all__ = ["LoadProgress"]


class LoadProgress:
    """Shows the level under way on stderr; silent where nobody watches a terminal."""

    def __init__(self, levels: int) -> None:
        console = error_console()
        self._levels = levels
        self._head = ""
        self._status: Status | None = None
        if console.is_terminal:
            self._status = Status("starting", console=console)

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def level(self, level: Level) -> None:
        """Say which level begins."""
        self._head = f"level {level.number + 1} of {self._levels}: {level.tps:,.0f} TPS"
        self._update(self._head)

    def interval(self, interval: Interval) -> None:
        """Say how it goes."""
        self._update(f"{self._head}  {interval_text(interval).strip()}")

    def _update(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)
