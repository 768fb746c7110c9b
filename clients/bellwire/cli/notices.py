"""What parts of a long-running verb log, as lines on stderr: warnings of all, and news of those that have some."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from typing import Final

from bellwire.cli.output import Style, error_console, harmless

__all__ = ["notices"]

LOGGER: Final = "bellwire"


class _Notices(logging.Handler):
    """Prints a line for each record, with the time of day: what runs for weeks is read afterwards.

    A stderr that cannot be written costs the line and nothing else, whoever logs.
    """

    def __init__(self, news_of: tuple[str, ...]) -> None:
        super().__init__(logging.INFO)
        self._news_of = news_of
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.name in self._news_of

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._print(record)
        except Exception:  # noqa: BLE001 - as the standard library's handlers do it
            with suppress(Exception):  # It writes to stderr, too.
                self.handleError(record)

    def _print(self, record: logging.LogRecord) -> None:
        style = Style.WARN if record.levelno >= logging.WARNING else Style.FAINT
        text = "\n".join(map(harmless, self.format(record).splitlines()))
        console = error_console()
        console.file = line = StringIO()  # Rich itself ends the process where a pipe is broken.
        console.print(text, style=style, soft_wrap=True, markup=False)
        sys.stderr.write(line.getvalue())
        sys.stderr.flush()


@contextmanager
def notices(*news_of: str) -> Iterator[None]:
    """Print what is logged by us while the block runs.

    Args:
        news_of: Loggers whose INFO is printed too: those that say once that something is over.
    """
    logger = logging.getLogger(LOGGER)
    level, handler = logger.level, _Notices(news_of)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
