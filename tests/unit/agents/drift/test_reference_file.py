"""bellwire.agents.drift.reference_file: what is written is read, what is damaged is refused."""

import json

import pytest
from tests.unit.agents.drift.samples import reference

from bellwire.agents.drift import (
    REFERENCE_FILE,
    DriftReferenceError,
    carry_references,
    read_references,
    write_references,
)
from bellwire.agents.drift import reference_file as module


@pytest.fixture(scope="module")
def trained():
    return reference(1, bars=500)


def test_what_is_written_is_read_again(trained, tmp_path):
    write_references(tmp_path, [trained])
    assert read_references(tmp_path) == {"EURUSD": trained}


def test_a_version_made_of_another_gets_its_references(trained, tmp_path):
    parent, child = tmp_path / "1", tmp_path / "2"
    parent.mkdir()
    child.mkdir()
    assert not carry_references(parent, child)
    assert list(child.iterdir()) == []
    write_references(parent, [trained])
    assert carry_references(parent, child)
    assert read_references(child) == read_references(parent)


def test_absence_is_told_with_what_to_do(tmp_path):
    with pytest.raises(DriftReferenceError, match=r"No such file.*bellwire train tactical"):
        read_references(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"format": 2, "references": []}',
        '{"format": 1, "references": []}',
        '{"format": 1, "references": [7]}',
        '{"format": 1, "references": [{"symbol": "A", "interval": "1h", "data_sha256": "", "columns": []}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_reference_is_refused(tmp_path, content):
    (tmp_path / REFERENCE_FILE).write_text(content)
    with pytest.raises(DriftReferenceError):
        read_references(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("edges", [1.0, 0.0]),
        ("edges", [0.0, float("nan")]),
        ("edges", "01"),
        ("counts", [1]),
        ("counts", [-1, 5]),
        ("counts", [0, 0]),
        ("noise_scale", 0.5),
        ("noise_scale", float("nan")),
        ("noise_scale", "1"),
        ("noise_degrees", 0.0),
        ("noise_degrees", 99.0),
        ("name", "other"),
    ],
)
def test_a_column_that_cannot_be_compared_with_is_refused(trained, tmp_path, field, value):
    write_references(tmp_path, [trained])
    path = tmp_path / REFERENCE_FILE
    content = json.loads(path.read_text())
    column = content["references"][0]["columns"][0]
    assert column["name"] == "fvg_bullish_active"
    column[field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DriftReferenceError):
        read_references(tmp_path)


def test_a_file_beyond_the_bound_is_not_read(trained, tmp_path, monkeypatch):
    write_references(tmp_path, [trained])
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 100)
    with pytest.raises(DriftReferenceError, match="too large"):
        read_references(tmp_path)
