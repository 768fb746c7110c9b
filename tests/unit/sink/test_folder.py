"""Where files stand, and which of them are whole."""

from __future__ import annotations

import os
from datetime import date

import pytest

from bellwire.sink.errors import AnalyticStoreError, AnalyticStoreLockedError
from bellwire.sink.folder import SEALED, StoreFolder, is_whole, publish_file

DAY = date(2026, 11, 21)
WHOLE = b"PAR1" + b"rows" + b"meta" + (4).to_bytes(4, "little") + b"PAR1"


@pytest.fixture
def folder(tmp_path):
    return StoreFolder(tmp_path / "store")


def test_a_second_sink_is_kept_out_until_the_first_is_gone(folder):
    lock = folder.lock()
    with pytest.raises(AnalyticStoreLockedError, match="another sink writes"):
        folder.lock()
    os.close(lock)
    os.close(folder.lock())


def test_a_store_that_is_a_file_is_refused_with_its_name(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(AnalyticStoreError, match=r"store cannot be written"):
        StoreFolder(tmp_path / "store").lock()


def test_a_store_that_is_not_there_is_said_with_what_makes_one(folder):
    with pytest.raises(AnalyticStoreError, match="bellwire sink --store"):
        folder.check_there()


def test_files_are_found_by_place_and_name_and_everything_else_is_left_out(folder):
    os.close(folder.lock())
    for level, stored_ns in ((SEALED, 7), (0, 9), (0, 8)):
        place = folder.place(DAY, level, stored_ns, 500)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(WHOLE)
    (folder.messages / "day=2026-13-45").mkdir()
    (folder.messages / "notes.txt").write_text("")
    (folder.place(DAY, 0, 0, 0).parent / "mine.parquet").write_bytes(WHOLE)
    found = [(file.level, file.stored_ns, file.rows) for file in folder.files()]
    assert found == [(0, 8, 500), (0, 9, 500), (SEALED, 7, 500)]


def test_what_was_not_finished_is_swept(folder):
    os.close(folder.lock())
    (folder.aside / "write-1.parquet").write_bytes(b"PAR1")
    (folder.aside / "spill").mkdir()
    (folder.aside / "spill" / "block").write_bytes(b"x")
    assert folder.sweep() == 2
    assert list(folder.aside.iterdir()) == []


@pytest.mark.parametrize("kept", range(len(WHOLE)))
def test_a_torn_file_is_not_whole(tmp_path, kept):
    torn = tmp_path / "torn"
    torn.write_bytes(WHOLE[:kept])
    assert not is_whole(torn)


def test_a_file_whose_metadata_would_begin_before_it_is_not_whole(tmp_path):
    lying = tmp_path / "lying"
    lying.write_bytes(b"PAR1" + b"x" * 8 + (400).to_bytes(4, "little") + b"PAR1")
    assert not is_whole(lying)


def test_a_published_file_is_at_its_place_and_nowhere_else(folder):
    os.close(folder.lock())
    aside = folder.aside / "write-1.parquet"
    aside.write_bytes(WHOLE)
    place = folder.place(DAY, 0, 1, 5)
    publish_file(aside, place)
    assert is_whole(place)
    assert not aside.exists()
