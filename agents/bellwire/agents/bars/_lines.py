"""The text lines of a file, plain or gzip, each of bounded length."""

import gzip
import zlib
from collections.abc import Generator
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import IO, Final, cast

from bellwire.agents.bars.errors import OhlcvFileError, OhlcvProblem

_GZIP_MAGIC: Final = b"\x1f\x8b"
LINE_CHARS_MAX: Final = 4_096  # characters; an OHLCV row needs about 80, a bomb has no line end


def lines(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a UTF-8 file; gzip is told by its first bytes.

    Raises:
        OhlcvFileError: the file cannot be opened, decompressed or decoded, or a line is too long.
    """
    try:
        with path.open("rb") as raw, _text(raw) as stream:
            number = 0
            while line := stream.readline(LINE_CHARS_MAX + 1):
                number += 1
                if len(line) > LINE_CHARS_MAX:
                    raise _too_long(path, number, line)
                yield line
    except UnicodeDecodeError as error:
        raise OhlcvFileError(
            OhlcvProblem.UNREADABLE, path, "not UTF-8 text", "save it as CSV in UTF-8"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OhlcvFileError(
            OhlcvProblem.UNREADABLE,
            path,
            f"cannot be read ({reason})",
            "give a readable CSV file, plain or gzip",
        ) from error


def _text(raw: BufferedReader) -> TextIOWrapper:
    compressed = raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
    # GzipFile reads like a binary file but is not declared as one.
    source = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if compressed else raw
    return TextIOWrapper(source, encoding="utf-8-sig", newline="")


def _too_long(path: Path, number: int, line: str) -> OhlcvFileError:
    return OhlcvFileError(
        OhlcvProblem.TOO_LARGE,
        path,
        f"a line of more than {LINE_CHARS_MAX} characters",
        "write one bar per line",
        line=number,
        found=line,
    )
