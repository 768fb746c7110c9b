"""Models on disk."""

from dataclasses import replace

import pytest

from bellwire.agents.inference import InvalidModelError, read_manifest
from bellwire.agents.quantize.version_folder import add_version, read_model, versions_in


def test_a_version_is_added_above_all_others_and_changes_none(put_parent):
    parent = put_parent(b"content")
    manifest, content = read_model(parent)
    models = parent.parent.parent
    (models / "tactical" / "7").mkdir()
    (models / "tactical" / "007").mkdir()
    added = add_version(models, replace(manifest, quantization="int8-static"), b"smaller")
    assert added.version == 8
    assert read_model(models / "tactical" / "8") == (added, b"smaller")
    assert read_model(parent) == (manifest, content)
    assert versions_in(models / "tactical") == [1, 7, 8]
    assert not [each for each in (models / "tactical").iterdir() if each.name.startswith(".")]


def test_a_folder_of_models_is_made(put_parent, tmp_path):
    manifest = read_manifest(put_parent(b"content"))
    assert add_version(tmp_path / "new" / "place", manifest, b"x").version == 1


def test_a_disk_that_refuses_leaves_nothing_behind(put_parent, tmp_path):
    manifest = replace(read_manifest(put_parent(b"content")), file="no/such/folder/model.onnx")
    with pytest.raises(OSError, match="No such file"):
        add_version(tmp_path / "out", manifest, b"x")
    assert list((tmp_path / "out" / "tactical").iterdir()) == []


def test_a_file_that_is_not_the_manifests_is_refused(put_parent):
    folder = put_parent(b"content")
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(InvalidModelError, match="sha256"):
        read_model(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(InvalidModelError, match="No such file"):
        read_model(folder)
