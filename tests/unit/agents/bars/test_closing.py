"""A file that is refused is closed at once, not when the garbage collector comes by."""

from pathlib import Path

import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.bars.errors import OhlcvFileError


def open_files() -> list[str]:
    files = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            files.append(str(link.readlink()))
        except FileNotFoundError:  # The descriptor this listing itself went through.
            continue
    return files


def test_a_refused_file_is_closed_while_its_error_is_still_in_hand(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("time,open,high,low,close,volume\n2017-01-02T00:00:00Z,1,1,1,nan,1\n")

    with pytest.raises(OhlcvFileError) as refused:
        read_ohlcv(path, symbol="X")

    assert refused.value.line == 2
    assert str(path) not in open_files()
