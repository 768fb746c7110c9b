"""A progress bar while bars are played; plain lines where nobody watches a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Self

from bellwire.cli.counting_bar import counting_bar
from bellwire.cli.output import error_console

__all__ = ["PlayProgress"]

PLAIN_STEPS: Final = 4  # lines in a log: one a quarter


class PlayProgress:
    """Shows stages of the start, then bars played, their rate and what is left."""

    def __init__(self, bars: int) -> None:
        self._total = bars
        self._console = error_console()
        self._is_plain = not self._console.is_terminal
        self._progress = counting_bar("bars", self._console)
        self._task = self._progress.add_task("starting", total=bars, note="")
        self._next_plain = 1

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def stage(self, text: str) -> None:
        """Say what is going on now."""
        if self._is_plain:
            self._line(text)
        self._progress.update(self._task, description=text)

    def bar(self, played: int) -> None:
        """Note that so many bars were played."""
        speed = self._progress.tasks[0].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        self._progress.update(self._task, completed=played, note=rate)
        if self._is_plain and played * PLAIN_STEPS >= self._next_plain * self._total:
            self._next_plain += 1
            self._line(f"{played:,} of {self._total:,} bars")

    def _line(self, text: str) -> None:
        sys.stderr.write(f"demo: {text}\n")
        sys.stderr.flush()
