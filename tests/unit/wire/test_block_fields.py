"""bellwire.wire.block_fields: the fields of all messages at once, as the contract names them."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import Message, MessageBlock
from bellwire.wire.block_fields import fields_of, serialized_messages
from bellwire.wire.message import new_message

MESSAGES = [
    new_message(data=b"one", source="agents/a", key="K", attributes={"a": "b"}),
    new_message(data=b"", subject="EURUSD"),
    new_message(data=b"three", source="agents/b", expire_time_unix_nano=7),
]
BLOCK = MessageBlock(messages=MESSAGES).SerializeToString()


def test_each_field_is_a_list_of_what_the_messages_set():
    fields = fields_of(BLOCK)
    assert list(fields.id) == [message.id for message in MESSAGES]
    assert list(fields.source) == ["agents/a", "agents/b"]
    assert list(fields.data) == [b"one", b"three"]
    assert list(fields.key) == ["K"]
    assert len(fields.attributes) == 1
    assert not fields.traceparent


@pytest.mark.parametrize("name", [field.name for field in Message.DESCRIPTOR.fields])
def test_every_field_of_the_contract_has_its_list(name):
    assert hasattr(fields_of(b""), name)


def test_the_bytes_of_each_message_are_its_own():
    assert [Message.FromString(row) for row in serialized_messages(BLOCK)] == MESSAGES


@pytest.mark.parametrize("read", [fields_of, serialized_messages])
def test_what_is_no_block_is_not_read(read):
    with pytest.raises(DecodeError):
        read(BLOCK[:-1])


def test_a_text_that_is_no_utf8_is_not_read():
    with pytest.raises(DecodeError):
        fields_of(b"\x0a\x03\x12\x01\xff")
