"""Questions: what they may ask, what they may use, and what they hear when they ask wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.sink.conftest import Shop
from tests.integration.sink.test_store import signals

from bellwire.client import new_message
from bellwire.sink import AnalyticStoreError, QueryError, QueryLimitError, QuerySettings, ask

pytestmark = pytest.mark.integration


@pytest.fixture
def filled(shop: Shop) -> Shop:
    """A store with two topics, and a foreign one that has an awkward name."""
    shop.put("signals.tactical", signals(20))
    shop.put("bars.1h", [new_message(data=b"x")])
    shop.put("a.b.c", [new_message(data=b"x")])
    return shop


@pytest.mark.parametrize(
    "table",
    [
        "signals.tactical",
        '"signals.tactical"',
        'bars."1h"',
        '"bars.1h"',
        '"a.b.c"',
        "trading.signal",
    ],
)
def test_tables_are_named_as_topics_and_types_are(filled: Shop, table):
    ((count,),) = filled.rows(f"SELECT count(*) FROM {table}")
    assert count == (20 if "signal" in table else 1)


@pytest.mark.parametrize(
    "topic",
    ["messages", "main.x", "daily.x", "trading.signal", "temp.x", "information_schema.tables"],
)
def test_a_topic_never_takes_the_name_of_another_table(shop: Shop, topic):
    shop.put(topic, signals(1))
    shop.put("other", signals(2))
    assert shop.rows("SELECT count(*) FROM messages") == [(3,)]
    if topic != "messages":
        assert shop.rows(f'SELECT count(*) FROM "{topic}"') == [(1,)]


def test_an_empty_store_has_an_empty_table(shop: Shop):
    assert shop.rows("SELECT count(*), count(day), count(trace_id) FROM messages") == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM nothing.there", 'schema "nothing" does not exist; tables here'),
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM signals.tactical", '"nope" not found'),
        ("SELECT 1/'x'", "Could not convert string 'x'"),
    ],
)
def test_a_wrong_query_is_told_what_is_wrong_and_which_tables_there_are(filled: Shop, sql, said):
    with pytest.raises(QueryError) as caught:
        filled.ask(sql)
    assert said in caught.value.message
    assert caught.value.message.endswith(
        'tables here: messages, "a.b.c", bars."1h", signals.tactical, trading.signal, '
        "daily.signals_by_agent"
    )
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW messages",
        "COPY (SELECT 1) TO '{store}/messages/day=2026-11-21/L0-1-1.parquet'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{store}/messages/x.parquet'",
        "SET memory_limit = '100GB'",
        "ATTACH '{store}/x.db'",
        "INSTALL httpfs",
    ],
)
def test_a_query_that_does_more_than_read_is_refused(filled: Shop, sql):
    before = sorted(filled.root.rglob("*"))
    with pytest.raises(QueryError, match="only reads: SELECT is expected"):
        filled.ask(sql.format(store=filled.root))
    assert sorted(filled.root.rglob("*")) == before


def test_several_statements_are_refused(filled: Shop):
    with pytest.raises(QueryError, match="2 were found"):
        filled.ask("SELECT 1; SELECT 2")
    with pytest.raises(QueryError, match="0 were found"):
        filled.ask("-- nothing")


@pytest.mark.parametrize("call", ["read_text", "read_csv", "read_blob", "glob"])
def test_a_query_reads_nothing_beside_the_store(filled: Shop, call):
    with pytest.raises(QueryError, match="disabled by configuration"):
        filled.ask(f"SELECT * FROM {call}('/etc/passwd')")


def test_rows_are_bounded_and_it_says_that_there_are_more(filled: Shop):
    answer = filled.ask("SELECT * FROM signals.tactical", rows_max=20)
    assert (len(answer.rows), answer.more) == (20, False)
    answer = filled.ask("SELECT * FROM signals.tactical", rows_max=19)
    assert (len(answer.rows), answer.more) == (19, True)


def test_time_is_bounded(filled: Shop):
    with pytest.raises(QueryLimitError, match=r"longer than 0\.3 s.*query\.seconds_max"):
        filled.ask(
            "SELECT sum(a * b) FROM range(10000000) x(a), range(10000000) y(b)", seconds_max=0.3
        )


def test_memory_is_bounded(filled: Shop):
    with pytest.raises(QueryLimitError, match=r"64 MiB of memory.*query\.memory_bytes"):
        filled.ask(
            "SELECT list(a::VARCHAR || repeat('x', 100)) FROM range(10000000) x(a)",
            memory_bytes=64 << 20,
            spill_bytes=0,
        )


def test_a_folder_that_is_no_store_is_said(tmp_path: Path):
    with pytest.raises(AnalyticStoreError, match="there is no analytic store at"):
        ask(tmp_path, "SELECT 1", QuerySettings())


def test_a_file_that_stays_away_is_an_error_after_a_while(filled: Shop):
    path = filled.folder.files()[0].path
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(AnalyticStoreError, match=r"went away while they were read, for 0\.2 s"):
        filled.ask("SELECT count(*) FROM messages", seconds_max=0.2)


def test_damage_within_a_file_is_an_error_and_not_an_empty_answer(filled: Shop):
    path = filled.folder.files()[0].path
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises((AnalyticStoreError, QueryError)):
        filled.ask("SELECT * FROM messages")
