"""Versions on disk: how they come, and which are seen."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.unit.agents.inference.repository.conftest import PUBLISH, content_of, model_of

from bellwire.agents.inference import InvalidModelError, TensorSpec, read_manifest
from bellwire.agents.inference.repository import folder, publish_version, scan
from bellwire.wire.errors import CapacityError


def names_in(place: Path) -> list[str]:
    return sorted(each.name for each in place.iterdir())


def test_each_version_gets_the_next_number_and_its_own_hash(
    tmp_path: Path, publish: PUBLISH
) -> None:
    first, second = publish(answer=1), publish(answer=2)
    assert (first.version, second.version) == (1, 2)
    assert first.sha256 != second.sha256
    assert read_manifest(tmp_path / "actor" / "2") == second
    assert (tmp_path / "actor" / "1" / "actor.npz").read_bytes() == content_of(1)


def test_number_follows_the_highest_and_fills_no_gap(tmp_path: Path, publish: PUBLISH) -> None:
    (tmp_path / "actor" / "41").mkdir(parents=True)
    assert publish().version == 42


def test_nothing_is_left_behind_beside_the_versions(tmp_path: Path, publish: PUBLISH) -> None:
    publish()
    assert names_in(tmp_path / "actor") == [".given-1", "1"]


def test_what_a_killed_publisher_left_is_swept_after_a_day(
    tmp_path: Path, publish: PUBLISH
) -> None:
    old, young = (tmp_path / "actor" / f".publishing-{age}" for age in ("old", "young"))
    for left in (old, young):
        left.mkdir(parents=True)
        (left / "actor.npz").touch()
    two_days_ago = old.stat().st_mtime - 2 * folder.STALE_SECONDS
    os.utime(old, (two_days_ago, two_days_ago))
    publish()
    assert names_in(tmp_path / "actor") == [
        ".given-1",
        ".publishing-young",
        "1",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ".."},
        {"name": "a/b"},
        {"name": ""},
        {"file": "../evil"},
        {"file": ".."},
        {"file": "model.json"},
        {"batch_max": 0},
        {"batch_max": 10**19},
        {"file": "actor\0.npz"},
        {"name": 5},
        {"engine": ["numpy"]},
        {"sha256": None, "file": None},
        {"inputs": (TensorSpec("x", "FP32", (1,)), TensorSpec("x", "FP32", (1,)))},
        {"inputs": (TensorSpec(5, "FP32", (1,)),)},  # type: ignore[arg-type]  # wrong on purpose
        {"inputs": (TensorSpec("\ud800", "FP32", (1,)),)},
        {"inputs": (TensorSpec("x", ["FP32"], (1,)),)},  # type: ignore[arg-type]  # wrong on purpose
        {"inputs": (TensorSpec("x", "FP32", (10**2_000, 10**2_000)),)},
        {"inputs": (TensorSpec("x", "FP32", (2**20, 2**20)),)},
        {"inputs": (TensorSpec("x", "FP32", (1,) * 8),)},
        {"inputs": tuple(TensorSpec(f"x{n}", "FP32", (1,)) for n in range(65))},
        {"quantization": 4},
        {"metadata": None},
        {"metadata": [1]},
        {"inputs": ()},
    ],
)
def test_manifest_that_cannot_be_is_not_published(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    root = tmp_path / "models"
    with pytest.raises(InvalidModelError):
        publish_version(root, model_of(**changes), b"")  # type: ignore[arg-type]  # wrong on purpose
    assert not root.exists()
    assert list(tmp_path.iterdir()) == []


def test_version_taken_between_looking_and_renaming_is_numbered_anew(
    tmp_path: Path, publish: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = folder.versions_in

    def look_and_lose(place: Path) -> list[int]:
        seen = look(place)
        if len(seen) < 3:
            (place / str(len(seen) + 1)).mkdir()
            (place / str(len(seen) + 1) / "other").touch()
        return seen

    monkeypatch.setattr(folder, "versions_in", look_and_lose)
    manifest = publish()
    assert manifest.version == 4
    assert read_manifest(tmp_path / "actor" / "4").version == 4
    assert (tmp_path / "actor" / "1" / "other").exists()


def test_number_of_a_version_that_was_deleted_is_not_given_again(
    tmp_path: Path, publish: PUBLISH
) -> None:
    assert [publish().version, publish().version] == [1, 2]
    shutil.rmtree(tmp_path / "actor" / "2")
    assert publish().version == 3
    claims = [each.name for each in (tmp_path / "actor").glob(".given-*")]
    assert claims == [".given-3"]


def test_number_another_publisher_has_claimed_is_not_taken(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish()
    (tmp_path / "actor" / ".given-2").touch()
    (tmp_path / "actor" / ".given-two").touch()
    assert publish().version == 3


def test_publisher_that_always_loses_gives_up(
    tmp_path: Path, publish: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = folder.versions_in

    def look_and_lose(place: Path) -> list[int]:
        seen = look(place)
        (place / str(len(seen) + 1) / "other").mkdir(parents=True)
        return seen

    monkeypatch.setattr(folder, "versions_in", look_and_lose)
    monkeypatch.setattr(folder, "PUBLISH_ATTEMPTS_MAX", 5)
    with pytest.raises(CapacityError, match="5 versions were taken"):
        publish()
    found = [name for name in names_in(tmp_path / "actor") if not name.startswith(".given-")]
    assert found == ["1", "2", "3", "4", "5"]


def test_disk_that_refuses_leaves_no_version(
    tmp_path: Path, publish: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    publish()
    monkeypatch.setattr(folder, "sync", full)
    with pytest.raises(OSError, match="No space"):
        publish()
    assert names_in(tmp_path / "actor") == [".given-1", "1"]


def test_scan_sees_versions_and_passes_over_everything_else(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish("b")
    publish("a")
    publish("a")
    for name in ("07", "٣", "0", "-1", "x", ".publishing-1", "1000000000"):
        (tmp_path / "a" / name).mkdir()
    (tmp_path / "a" / "8").touch()
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    assert [(each.name, each.version) for each in scan(tmp_path)] == [("a", 1), ("a", 2), ("b", 1)]


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidModelError, match=r"absent.*No such file.*expected a folder of models"
    ):
        scan(tmp_path / "absent")


def test_manifest_of_another_place_is_refused(tmp_path: Path, publish: PUBLISH) -> None:
    publish()
    (tmp_path / "actor" / "1").rename(tmp_path / "actor" / "2")
    with pytest.raises(InvalidModelError, match="actor:1; expected actor:2, as its place"):
        scan(tmp_path)[0].read_manifest()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"name": ".."},
        {"file": 7},
        {"file": None},
        {"inputs": [{"name": "x", "dtype": "FP32", "shape": ["a"]}]},
        {"inputs": [{"name": "x", "dtype": "FP32", "shape": [0]}]},
        {"inputs": [{"name": "x", "dtype": ["FP32"], "shape": [1]}]},
        {"inputs": 3},
        {"surprise": 1},
    ],
)
def test_manifest_with_a_field_that_cannot_be_is_refused(
    tmp_path: Path, publish: PUBLISH, changes: dict[str, object]
) -> None:
    publish()
    path = tmp_path / "actor" / "1" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(InvalidModelError, match=r"model\.json"):
        scan(tmp_path)[0].read_manifest()


def test_manifest_nested_beyond_reason_is_refused(tmp_path: Path, publish: PUBLISH) -> None:
    publish()
    (tmp_path / "actor" / "1" / "model.json").write_text("[" * 100_000)
    with pytest.raises(InvalidModelError, match=r"model\.json"):
        scan(tmp_path)[0].read_manifest()
