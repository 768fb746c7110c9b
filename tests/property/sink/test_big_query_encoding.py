"""What is encoded for BigQuery reads as the row it was, whichever columns the table has."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.sink.bigquery.encoding import RowEncoder
from bellwire.sink.columns import COLUMNS, TIME_NS_MAX, Row

VALUES = {
    "VARCHAR": st.text(max_size=20),
    "INTEGER": st.integers(0, 2**31 - 1),
    "BIGINT": st.integers(-1, 2**63 - 1),
    "UBIGINT": st.integers(0, 2**64 - 1),
    "TIMESTAMP_NS": st.integers(1, TIME_NS_MAX),
    "BOOLEAN": st.booleans(),
    "BLOB": st.binary(max_size=20),
}
NULLABLE = ("time", "expire_time", "not_before_time", "attributes", "payload")
NAMES = [column.name for column in COLUMNS]


def value_of(column):
    found = VALUES[column.sql_type]
    return st.none() | found if column.name in NULLABLE else found


rows = st.builds(Row, *map(value_of, COLUMNS))


@settings(max_examples=40)  # Each makes a message class.
@given(rows, st.sets(st.sampled_from(NAMES), min_size=1))
def test_an_encoded_row_reads_as_it_was(row, columns):
    encoder = RowEncoder([name for name in NAMES if name in columns])
    pool = DescriptorPool()
    file = FileDescriptorProto(name="row.proto", syntax="proto2", message_type=[encoder.descriptor])
    pool.Add(file)
    read = GetMessageClass(pool.FindMessageTypeByName(encoder.descriptor.name)).FromString(
        encoder.encode(row)
    )
    found = {field.name: value for field, value in read.ListFields()}
    expected = {name: getattr(row, name) for name in columns}
    for column in COLUMNS:
        if column.sql_type == "TIMESTAMP_NS" and expected.get(column.name) is not None:
            expected[column.name] //= 1_000
    assert found == {name: value for name, value in expected.items() if value is not None}
