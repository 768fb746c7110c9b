"""Columns over the bus, in memory: what is published comes back, and what is no columns is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.columns import (
    COLUMNS_TYPE,
    Column,
    Columns,
    ColumnsTypeError,
    columns_of,
    publish_columns,
)
from bellwire.testing import InMemoryBus
from bellwire.trading.v1.column_pb2 import ColumnBatch
from bellwire.wire.columns import ColumnsCorruptError, decode_columns, encode_columns
from bellwire.wire.errors import CallerError, error_for


def quotes(rows: int) -> Columns:
    return Columns(
        "quotes",
        [Column("bid", np.arange(rows) + 100, 2), Column("ask", np.arange(rows) + 101, 2)],
    )


async def test_rows_come_back_in_order_however_many_messages_they_took():
    bus, sent = InMemoryBus(), quotes(70_000)
    async with bus.client() as client, client.subscribe("quotes") as subscription:
        publisher = client.publisher("feed")
        published = await publish_columns(
            publisher, "quotes", sent, key="EURUSD", subject="EURUSD", time_unix_nano=7
        )
        received: list[Columns] = []
        async for message in subscription:
            assert (message.type, message.key, message.subject) == (
                COLUMNS_TYPE,
                "EURUSD",
                "EURUSD",
            )
            assert message.time_unix_nano == 7
            received.append(columns_of(message))
            if sum(map(len, received)) >= len(sent):
                break
    assert len(received) == sum(at.last_offset - at.first_offset + 1 for at in published) == 3
    for name in sent:
        values = np.concatenate([columns[name] for columns in received])
        assert values.tolist() == sent[name].tolist()
    assert received[0].scales == {"bid": 2, "ask": 2}


async def test_the_rows_of_a_message_can_be_limited():
    async with InMemoryBus().client() as client, client.subscribe("quotes") as subscription:
        await publish_columns(client.publisher("feed"), "quotes", quotes(10), rows_max=4)
        rows = []
        async for message in subscription:
            rows.append(len(columns_of(message)))
            if sum(rows) == 10:
                break
    assert rows == [4, 4, 2]


async def test_publish_also_takes_the_protobuf_message_itself():
    batch = ColumnBatch.FromString(encode_columns(quotes(3)))
    async with InMemoryBus().client() as client, client.subscribe("quotes") as subscription:
        await client.publisher("feed").publish("quotes", batch)
        async for message in subscription:
            assert columns_of(message)["bid"].tolist() == [100, 101, 102]
            break


def test_a_message_of_another_type_is_refused_by_name():
    message = Message(type="bellwire.trading.v1.Bar", data=encode_columns(quotes(1)))
    with pytest.raises(ColumnsTypeError, match=r"'bellwire.trading.v1.Bar', expected"):
        columns_of(message)
    assert decode_columns(message.data).row_count == 1


def test_a_message_that_only_says_it_has_columns_is_refused():
    with pytest.raises(ColumnsCorruptError):
        columns_of(Message(type=COLUMNS_TYPE, data=b"\xff\xff"))


def test_a_refusal_keeps_its_class_over_the_wire():
    error = error_for(3, "COLUMN_LENGTH", "what was wrong")
    assert isinstance(error, CallerError)
    assert type(error).__name__ == "ColumnLengthError"
