"""bellwire.coordinator.federation.record: what stands in Redis, and what is not believed of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agent.v1.agent_pb2 import Agent, AgentStatus
from bellwire.agent.v1.directory_pb2 import DirectoryRecord
from bellwire.coordinator.core.remotes import Place
from bellwire.coordinator.federation.record import (
    RECORD_BYTES_MAX,
    RecordError,
    decode_place,
    decode_record,
    encode_head,
    encode_place,
    encode_roster,
)

ID = "0" * 31 + "1"
PLACE = Place(ID, "desk", "10.0.0.1:7400")


def status(agent_id: str, **fields: object) -> AgentStatus:
    return AgentStatus(agent=Agent(agent_id=agent_id), **fields)  # type: ignore[arg-type]


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_place_comes_back_as_it_was(group: str, address: str) -> None:
    place = Place(ID, group, address)
    assert decode_place(encode_place(place)) == place


@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_place_and_no_record(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode_place(data)
    with pytest.raises(RecordError):
        decode_record(data, ID)


@pytest.mark.parametrize(
    "data", [b"[" * 4_000, b'{"id":1,"group":"g","address":"a"}', b"{}", b"x" * 5_000]
)
def test_a_place_of_somebody_else_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match="delete the key"):
        decode_place(data)


def test_a_record_comes_back_as_it_was() -> None:
    agents = [status("a", in_flight=3), status("b", draining=True)]
    for data in (encode_head(PLACE, 7, agents), encode_roster(PLACE, 7, agents)[0]):
        place, revision, found = decode_record(data, ID)
        assert (place, revision, list(found)) == (PLACE, 7, agents)


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    large = AgentStatus(agent=Agent(agent_id="large", version="v" * (3 << 20)))
    data, left_out = encode_roster(PLACE, 1, [status("a"), large, large, status("b")])
    assert len(data) <= RECORD_BYTES_MAX
    assert left_out == 1
    assert [s.agent.agent_id for s in decode_record(data, ID)[2]] == ["a", "large", "b"]
    _, left_out = encode_roster(PLACE, 1, [status(f"a{n}") for n in range(10_005)])
    assert left_out == 5


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (DirectoryRecord(version=2, coordinator_id=ID), "version 2"),
        (DirectoryRecord(version=1, coordinator_id="f" * 32), "is of 'ffff"),
    ],
)
def test_a_record_of_another_version_or_coordinator_is_not_read(
    record: DirectoryRecord, why: str
) -> None:
    with pytest.raises(RecordError, match=why):
        decode_record(record.SerializeToString(), ID)


def test_a_record_that_is_too_large_is_not_read() -> None:
    with pytest.raises(RecordError, match="limit is"):
        decode_record(bytes(RECORD_BYTES_MAX + 1), ID)
