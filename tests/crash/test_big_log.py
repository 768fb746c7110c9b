"""A large log costs the coordinator neither memory nor a slow start; `big_log.py` does it with millions."""

from __future__ import annotations

from typing import Final

import pytest
from tests.crash.big_log import MIB, Load, measure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MESSAGES: Final = (
    400_000  # More bytes than the coordinator keeps in memory (`store_cache_bytes`: 64 MiB).
)
RSS_MIB_MAX: Final = 300
START_SECONDS_MAX: Final = 5.0


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
async def test_a_large_log_is_read_whole_within_memory_and_there_again_soon(late, tmp_path, capsys):
    figures = await measure(Load(MESSAGES, batch_messages=500, late=late), tmp_path)
    with capsys.disabled():
        print(f"\nbig log: {figures.text()}")
    assert (figures.received, figures.out_of_order) == (MESSAGES, 0)
    assert figures.recovered == MESSAGES
    assert figures.rss_bytes_max < RSS_MIB_MAX * MIB
    assert figures.answer_seconds < START_SECONDS_MAX
