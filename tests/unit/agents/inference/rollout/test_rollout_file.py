"""Rollouts on disk: what a restart finds, and what is refused."""

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bellwire.agents.inference import InvalidModelError
from bellwire.agents.inference.durable_file import UnsyncedError
from bellwire.agents.inference.rollout import (
    Author,
    Rollout,
    RolloutBook,
    RolloutFile,
    RolloutStepError,
    Stage,
    rollout_file,
)

ADA = Author("ada", "why not")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for version in (1, 2, 3):
        folder = tmp_path / "actor" / str(version)
        folder.mkdir(parents=True)
        (folder / "model.json").touch()
    return tmp_path


def start(candidate: int = 2):
    return lambda rollout: rollout.start(candidate, Stage.CANARY, 0.25, ADA, 7)


def test_restart_finds_the_rollout_as_it_was_left(root: Path) -> None:
    taken = RolloutFile(root, "actor").take(start(), serving=1)
    assert RolloutFile(root, "actor").read() == taken
    assert (taken.serving, taken.candidate, taken.share) == (1, 2, 0.25)
    promoted = RolloutFile(root, "actor").take(lambda rollout: rollout.promote(ADA, 8), serving=99)
    assert RolloutFile(root, "actor").read() == promoted
    assert (promoted.serving, promoted.previous, len(promoted.records)) == (2, 1, 2)


def test_step_that_is_refused_changes_nothing(root: Path) -> None:
    file = RolloutFile(root, "actor")
    before = file.take(start(), serving=1)
    with pytest.raises(RolloutStepError):
        file.take(start(3))
    assert file.read() == before


def test_disk_that_refuses_leaves_what_was_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = RolloutFile(root, "actor")
    before = file.take(start(), serving=1)
    monkeypatch.setattr(rollout_file, "replace_file", full)
    with pytest.raises(OSError, match="No space"):
        file.take(lambda rollout: rollout.promote(ADA, 8))
    assert file.read() == before


def test_version_that_is_not_there_is_neither_looked_at_nor_put_into_service(root: Path) -> None:
    file = RolloutFile(root, "actor")
    with pytest.raises(InvalidModelError, match=r"9/model.json.*no such version"):
        file.take(start(9), serving=1)
    assert file.read() is None
    file.take(start(2), serving=1)
    (root / "actor" / "2" / "model.json").unlink()
    with pytest.raises(InvalidModelError, match=r"2/model.json"):
        file.take(lambda rollout: rollout.promote(ADA, 8))
    assert file.take(lambda rollout: rollout.rollback(ADA, 9)).serving == 1


def test_first_version_in_service_must_be_there(root: Path) -> None:
    file = RolloutFile(root, "actor")
    with pytest.raises(InvalidModelError, match=r"9/model.json.*no such version"):
        file.take(start(2), serving=9)
    assert file.read() is None


def test_longest_history_can_be_read_again(root: Path) -> None:
    wordy = Author("\U0001f600" * 1_000, "\U0001f600" * 1_000)

    def many(rollout: Rollout) -> Rollout:
        rollout = rollout.start(2, Stage.CANARY, 0.1, wordy, 1)
        for now in range(1_000):
            rollout = rollout.move(Stage.CANARY, 0.1, wordy, now)
        return rollout

    file = RolloutFile(root, "actor")
    taken = file.take(many, serving=1)
    assert len(taken.records) == 1_000
    assert file.read() == taken
    assert file.take(lambda rollout: rollout.rollback(ADA, 9)).serving == 1


def test_history_that_could_not_be_read_again_is_not_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RolloutFile(root, "actor")
    before = file.take(start(), serving=1)
    bound = (root / "actor" / "rollout.json").stat().st_size
    monkeypatch.setattr(rollout_file, "FILE_BYTES_MAX", bound)
    with pytest.raises(InvalidModelError, match=f"bytes to write; expected at most {bound}"):
        file.take(lambda rollout: rollout.promote(ADA, 8))
    assert file.read() == before


def test_step_whose_folder_cannot_be_synced_is_said_to_be_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fsync_files_only(opened: int) -> None:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(opened)

    file = RolloutFile(root, "actor")
    file.take(start(), serving=1)
    monkeypatch.setattr(os, "fsync", fsync_files_only)
    with pytest.raises(UnsyncedError, match="the new content is there, not yet safe") as caught:
        file.take(lambda rollout: rollout.promote(ADA, 8))
    assert caught.value.errno == errno.EIO
    read = file.read()
    assert read is not None
    assert read.serving == 2


@pytest.mark.parametrize("name", ["../outside", "..", "", ".hidden", "a/b", "a\0"])
def test_name_that_no_model_can_have_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InvalidModelError, match="expected a name of 1 to 128 letters"):
        RolloutFile(root, name)


def test_first_step_must_say_which_version_serves(root: Path) -> None:
    with pytest.raises(InvalidModelError, match="no rollout yet; expected to be told"):
        RolloutFile(root, "actor").take(start())


def test_model_that_is_not_there_is_refused(root: Path) -> None:
    assert RolloutFile(root, "absent").read() is None
    with pytest.raises(InvalidModelError, match="No such file"):
        RolloutFile(root, "absent").take(start(), serving=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "other"},
        {"serving": 0},
        {"serving": True},
        {"serving": "1"},
        {"stage": "DANCING"},
        {"stage": "SERVING"},
        {"candidate": 0},
        {"share": 1.5},
        {"share": 0},
        {"share": None},
        {"records": [{}]},
        {"records": 5},
    ],
)
def test_damaged_file_is_refused_and_not_written_over(
    root: Path, changes: dict[str, object]
) -> None:
    file = RolloutFile(root, "actor")
    file.take(start(), serving=1)
    path = root / "actor" / "rollout.json"
    damaged = json.dumps(json.loads(path.read_text()) | changes)
    path.write_text(damaged)
    with pytest.raises(InvalidModelError, match=r"rollout\.json"):
        file.read()
    with pytest.raises(InvalidModelError, match=r"rollout\.json"):
        file.take(lambda rollout: rollout.promote(ADA, 8), serving=1)
    assert path.read_text() == damaged


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"[" * 100_000])
def test_file_that_is_no_json_is_refused(root: Path, content: bytes) -> None:
    (root / "actor" / "rollout.json").write_bytes(content)
    with pytest.raises(InvalidModelError):
        RolloutFile(root, "actor").read()


def test_file_beyond_its_bound_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RolloutFile(root, "actor").take(start(), serving=1)
    monkeypatch.setattr(rollout_file, "FILE_BYTES_MAX", 10)
    with pytest.raises(InvalidModelError, match="at most 10"):
        RolloutFile(root, "actor").read()


def test_steps_taken_at_once_are_all_there(root: Path) -> None:
    def toggle(_number: int) -> Rollout:
        return RolloutFile(root, "actor").take(lambda rollout: rollout.move(Stage.AB, 0.5, ADA, 1))

    RolloutFile(root, "actor").take(start(), serving=1)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(toggle, range(24)))
    assert sorted(len(each.records) for each in taken) == list(range(2, 26))
    assert [each.name for each in (root / "actor").iterdir() if "rollout.json-" in each.name] == []


def test_book_follows_what_other_processes_do(root: Path) -> None:
    book = RolloutBook(root)
    assert book.refresh() == {}
    started = RolloutFile(root, "actor").take(start(), serving=1)
    assert book.refresh() == {"actor": started}
    assert book.needed() == {"actor": {1, 2}}
    promoted = RolloutFile(root, "actor").take(lambda rollout: rollout.promote(ADA, 8))
    assert book.refresh() == {"actor": promoted}
    (root / "actor" / "rollout.json").unlink()
    assert book.refresh() == {}


def test_book_goes_on_with_what_it_knew_when_a_file_is_damaged(root: Path) -> None:
    book = RolloutBook(root)
    started = RolloutFile(root, "actor").take(start(), serving=1)
    book.refresh()
    path = root / "actor" / "rollout.json"
    content = path.read_bytes()
    path.write_bytes(b"{")
    assert book.refresh() == {"actor": started}
    assert "rollout.json" in str(book.failures["actor"])
    path.write_bytes(content)
    assert book.refresh() == {"actor": started}
    assert book.failures == {}


def test_book_goes_on_when_the_folder_is_away(root: Path) -> None:
    book = RolloutBook(root)
    started = RolloutFile(root, "actor").take(start(), serving=1)
    book.refresh()
    root.rename(root.with_name("away"))
    assert book.refresh() == {"actor": started}


def test_book_reads_a_file_again_after_a_moments_trouble(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = RolloutFile(root, "actor").take(start(), serving=1)
    read_bytes = Path.read_bytes
    troubles = [OSError(errno.EMFILE, "Too many open files")]

    def read_with_trouble(path: Path) -> bytes:
        if troubles:
            raise troubles.pop()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read_with_trouble)
    book = RolloutBook(root)
    assert book.refresh() == {}
    assert "Too many open files" in str(book.undecided()["actor"])
    assert book.refresh() == {"actor": started}
    assert (book.undecided(), book.failures) == ({}, {})


def test_model_whose_file_became_damaged_stays_decided(root: Path) -> None:
    book = RolloutBook(root)
    RolloutFile(root, "actor").take(start(), serving=1)
    book.refresh()
    (root / "actor" / "rollout.json").write_bytes(b"{")
    book.refresh()
    assert (list(book.failures), book.undecided()) == (["actor"], {})


def test_book_of_a_folder_that_was_never_read_does_not_say_that_there_are_no_rollouts(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidModelError, match="expected a folder of models"):
        RolloutBook(tmp_path / "absent").refresh()
