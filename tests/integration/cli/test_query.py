"""`bellwire query`: the same answer as a table, as JSON lines and as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests.integration.sink.conftest import NOON_NS, Shop

from bellwire.cli.main import run
from bellwire.client import new_message
from bellwire.sink import SinkSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the settings name, with one message of bytes that no terminal should get."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    shop = Shop(tmp_path / "analytics", SinkSettings())
    message = new_message(
        data=b"\x00\xff" * 20, key="\x1b[31mred", source='say "hi", twice', time_unix_nano=NOON_NS
    )
    shop.put("odd", [message, new_message(data=b"", key="empty")])
    shop.writer.close()
    return shop.root


SQL = 'SELECT key, source, time, data, 1.5 AS number, NULL AS nothing FROM odd ORDER BY "offset" LIMIT 1'


def test_a_table_shows_what_a_terminal_can_bear(store, capsys):
    assert run(["query", SQL]) == 0
    out = capsys.readouterr().out
    assert "\x1b[31mred" not in out
    assert "\\x1b[31mred" in out
    assert "00ff00ff" in out
    assert "(40 bytes)" in " ".join(out.split())
    assert "2026-11-21 12:00:00" in " ".join(out.split())


def test_json_lines_hold_everything(store, capsys):
    assert run(["query", "--json", SQL]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "key": "\x1b[31mred",
        "source": 'say "hi", twice',
        "time": "2026-11-21 12:00:00",
        "data": "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/w==",
        "number": 1.5,
        "nothing": None,
    }


def test_csv_is_read_back(store, capsys):
    assert run(["query", "--csv", SQL]) == 0
    heading, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert heading == ["key", "source", "time", "data", "number", "nothing"]
    assert row[:3] == ["\x1b[31mred", 'say "hi", twice', "2026-11-21 12:00:00"]
    assert row[4:] == ["1.5", ""]


def test_more_rows_than_are_printed_are_said_on_stderr(store, capsys):
    assert run(["query", "--json", "-n", "1", "SELECT id FROM messages"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "only the first 1 rows are shown; --rows shows more" in captured.err


def test_a_damaged_file_is_said_on_stderr(store, capsys):
    (file,) = (store / "messages").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    assert run(["query", "--json", "SELECT count(*) AS n FROM messages"]) == 0
    captured = capsys.readouterr()
    assert captured.out == '{"n": 0}\n'
    assert "damaged file left out" in captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["SELECT * FROM nix"], "tables here: messages, odd"),
        (["SELECT 1", "--store", "elsewhere"], "there is no analytic store at"),
        (["SELECT 1", "--csv", "--json"], "--csv and --json are both given"),
        (["SELECT 1", "--set", "query.threads=0"], "query.threads"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(store, capsys, arguments, said):
    assert run(["query", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_sink_of_a_folder_that_cannot_be_is_refused_before_it_connects(store, capsys):
    (store.parent / "file").write_text("")
    assert run(["sink", "--store", "file"]) == 2
    assert "file cannot be written" in capsys.readouterr().err
    assert run(["sink", "--store", ""]) == 2
    assert "--store is empty" in capsys.readouterr().err
