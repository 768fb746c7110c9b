"""Files that are there whole or not at all: the order of syncs and renames, and what a failure leaves."""

import errno
import os
from pathlib import Path

import pytest
from tests.unit.agents.inference.repository.conftest import model_of

from bellwire.agents.inference.durable_file import replace_file
from bellwire.agents.inference.repository import publish_version


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed, in order; hidden names are shown as "aside"."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def shown(path: Path) -> str:
        parts = path.parts[-2:]
        return "/".join("aside" if part.startswith(".") else part for part in parts)

    def noted_fsync(opened: int) -> None:
        steps.append("sync " + shown(Path(os.readlink(f"/proc/self/fd/{opened}"))))
        fsync(opened)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append(f"rename to {shown(target)}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    return steps


def test_version_is_on_the_disk_before_it_has_its_name(tmp_path: Path, journal: list[str]) -> None:
    root = tmp_path / "models"
    publish_version(root, model_of(), b"content")
    assert journal[-5:] == [
        "sync aside/actor.npz",
        "sync aside/model.json",
        "sync actor/aside",
        "rename to actor/1",
        "sync models/actor",
    ]


def test_new_content_is_on_the_disk_before_it_takes_the_place(
    tmp_path: Path, journal: list[str]
) -> None:
    folder = tmp_path / "actor"
    folder.mkdir()
    replace_file(folder / "rollout.json", b"new")
    assert journal[0:2] == ["sync actor/aside", "rename to actor/rollout.json"]
    assert journal[2].endswith("/actor")


def test_failed_write_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_opened: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "rollout.json"
    replace_file(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
