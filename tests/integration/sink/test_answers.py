"""Answers in the analytic store: found again by key and validity, compacted, dropped, and never anything else's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bellwire.agent.v1.invocation_pb2 import InvokeResponse
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.source import KeptAnswer
from bellwire.sink import AnalyticStoreLockedError, QuerySettings, SinkSettings, SinkWriteError, ask
from bellwire.sink.answers import AnswerFiles
from bellwire.sink.engine import open_engine

pytestmark = pytest.mark.integration

SETTINGS = replace(SinkSettings(), compact_files=4, keep_days=3)
NANOS = 1_000_000_000
DAY = 86_400


def key(digest: str, *, space: str = "fair_value", version: str = "v1") -> CacheKey:
    return CacheKey(space, version, digest)


def answer(
    digest: str, number: int = 0, *, ago: float = 0, seconds: float = 3_600, validity: str = "a1"
) -> KeptAnswer:
    """An answer of now that holds for an hour, unless told otherwise."""
    payload = InvokeResponse(result=b'{"n": %d}' % number).SerializeToString()
    made_ns = time.time_ns() - int(ago * NANOS)
    expire_ns = made_ns + int(seconds * NANOS)
    return KeptAnswer(key(digest), validity, ("bars.>",), made_ns, expire_ns, payload)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[AnswerFiles]:
    """An empty table."""
    made = AnswerFiles(tmp_path, SETTINGS)
    made.open()
    yield made
    made.close()


def parquet(root: Path) -> list[Path]:
    return sorted((root / "answers").rglob("*.parquet"))


def number_of(files: AnswerFiles, digest: str, validity: str = "a1") -> bytes | None:
    found = files.find(key(digest), validity)
    return None if found is None else InvokeResponse.FromString(found.payload).result


def test_what_is_kept_is_found_in_this_life_and_the_next(files: AnswerFiles, tmp_path: Path):
    files.keep([answer(f"d{n}", n) for n in range(20)])
    assert number_of(files, "d7") == b'{"n": 7}'
    files.close()
    again = AnswerFiles(tmp_path, SETTINGS)
    again.open()
    assert [number_of(again, f"d{n}") for n in range(20)] == [b'{"n": %d}' % n for n in range(20)]
    assert number_of(again, "d20") is None
    again.close()


def test_another_validity_version_or_capability_finds_nothing(files: AnswerFiles):
    files.keep([answer("d")])
    assert files.find(key("d"), "a2") is None
    assert files.find(key("d", version="v2"), "a1") is None
    assert files.find(key("d", space="spread"), "a1") is None
    assert files.find(key("d"), "a1") is not None


def test_the_newer_answer_of_a_question_is_the_one(files: AnswerFiles, tmp_path: Path):
    files.keep([answer("d", 1)])
    files.keep([answer("d", 2, validity="a2")])
    assert (number_of(files, "d"), number_of(files, "d", "a2")) == (None, b'{"n": 2}')
    files.close()
    files.open()
    assert (number_of(files, "d"), number_of(files, "d", "a2")) == (None, b'{"n": 2}')


def test_an_answer_that_is_too_old_is_none_and_goes(files: AnswerFiles, tmp_path: Path):
    files.keep([answer("short", seconds=0.001), answer("long")])
    assert number_of(files, "short") is None
    files.keep([answer("past", ago=10 * DAY, seconds=20 * DAY)])
    # Days beyond `keep_days` are dropped with the batch that wrote them.
    assert number_of(files, "past") is None
    assert number_of(files, "long") is not None
    assert len(parquet(tmp_path)) == 1


def test_many_batches_become_few_files_and_all_is_found(files: AnswerFiles, tmp_path: Path):
    for n in range(30):
        files.keep([answer(f"d{n}", n), answer("again", n, validity=f"a{n}")])
    assert len(parquet(tmp_path)) < 2 * SETTINGS.compact_files
    assert [number_of(files, f"d{n}") for n in range(30)] == [b'{"n": %d}' % n for n in range(30)]
    assert number_of(files, "again", "a29") == b'{"n": 29}'
    files.close()
    files.open()
    assert [number_of(files, f"d{n}") for n in range(30)] == [b'{"n": %d}' % n for n in range(30)]


def test_they_are_a_table(files: AnswerFiles, tmp_path: Path):
    counted = "SELECT count(*) FROM answers WHERE capability = 'fair_value'"
    assert ask(tmp_path, counted, QuerySettings()).rows == [(0,)]
    files.keep([answer("d1", 1), answer("d2", 2)])
    sql = "SELECT capability, outdated_by, answer->>'n', expire_time > made_time FROM answers ORDER BY question"
    assert list(ask(tmp_path, sql, QuerySettings()).rows) == [
        ("fair_value", "bars.>", "1", True),
        ("fair_value", "bars.>", "2", True),
    ]
    assert ask(tmp_path, counted, QuerySettings()).rows == [(2,)]
    assert ask(tmp_path, "SELECT count(*) FROM messages", QuerySettings()).rows == [(0,)]


@pytest.mark.parametrize("how", ["torn", "noise", "empty"])
def test_a_damaged_file_costs_its_answers_and_no_other(files: AnswerFiles, tmp_path: Path, how):
    files.keep([answer("good", 1)])
    (good,) = parquet(tmp_path)
    files.keep([answer("bad", 2)])
    (bad,) = {*parquet(tmp_path)} - {good}
    content = bad.read_bytes()
    damaged = {
        "torn": content[: len(content) // 2],
        "noise": content[:4] + bytes(len(content) - 12) + content[-8:],
        "empty": b"",
    }
    bad.write_bytes(damaged[how])
    assert number_of(files, "bad") is None  # Of the index it was taken in with.
    assert number_of(files, "good") == b'{"n": 1}'
    files.close()
    files.open()
    assert (number_of(files, "bad"), number_of(files, "good")) == (None, b'{"n": 1}')
    files.keep([answer("bad", 3)])
    assert number_of(files, "bad") == b'{"n": 3}'


def test_a_value_that_was_altered_is_none(files: AnswerFiles, tmp_path: Path):
    files.keep([answer("d", 1)])
    (path,) = parquet(tmp_path)
    aside = tmp_path / "altered.parquet"
    with open_engine(64 << 20, tmp_path) as engine:
        engine.execute(
            f"COPY (SELECT * REPLACE (value || 'x'::BLOB AS value) FROM read_parquet('{path}')) TO '{aside}'"
        )
    aside.replace(path)
    files.close()
    files.open()
    assert number_of(files, "d") is None


@pytest.mark.parametrize(
    "columns",
    [
        "* EXCLUDE (answer), 1 AS new",
        "* EXCLUDE (value)",
        "* EXCLUDE (validity)",
        "* REPLACE ('x' AS made_time)",
        "1 AS nothing",
    ],
)
def test_another_schema_is_read_as_far_as_it_goes(files: AnswerFiles, tmp_path: Path, columns: str):
    files.keep([answer("old", 1)])
    (path,) = parquet(tmp_path)
    files.keep([answer("new", 2)])
    aside = tmp_path / "altered.parquet"
    with open_engine(64 << 20, tmp_path) as engine:
        engine.execute(f"COPY (SELECT {columns} FROM read_parquet('{path}')) TO '{aside}'")
    aside.replace(path)
    files.close()
    files.open()
    # A value carries what proves it: only without it, or without what it is found by, it is none.
    kept = b'{"n": 1}' if "answer" in columns or "made_time" in columns else None
    assert (number_of(files, "old"), number_of(files, "new")) == (kept, b'{"n": 2}')
    for n in range(9):
        files.keep([answer(f"newer{n}", n)])
    assert [number_of(files, f"newer{n}") for n in range(9)] == [b'{"n": %d}' % n for n in range(9)]
    assert number_of(files, "new") == b'{"n": 2}'


def test_a_disk_that_takes_nothing_is_said_and_leaves_what_was_kept(
    files: AnswerFiles, tmp_path: Path
):
    files.keep([answer("d", 1)])
    aside = tmp_path / "answers-aside"
    shutil.rmtree(aside)
    aside.write_text("in the way")
    with pytest.raises(SinkWriteError, match="1 answers cannot be written"):
        files.keep([answer("e", 2)])
    assert (number_of(files, "d"), number_of(files, "e")) == (b'{"n": 1}', None)
    aside.unlink()
    aside.mkdir()
    files.keep([answer("e", 2)])
    assert number_of(files, "e") == b'{"n": 2}'


def test_one_writes_and_others_read(files: AnswerFiles, tmp_path: Path):
    files.keep([answer("d", 1)])
    other = AnswerFiles(tmp_path, SETTINGS)
    other.open()
    assert number_of(other, "d") == b'{"n": 1}'
    with pytest.raises(AnalyticStoreLockedError, match="only reads"):
        other.keep([answer("e", 2)])
    files.close()
    other.keep([answer("e", 2)])
    assert number_of(other, "e") == b'{"n": 2}'
    other.close()
