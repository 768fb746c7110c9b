"""Ids of outputs."""

import uuid

import pytest

from bellwire.runtime.output import derived_id
from bellwire.wire.message import uuid7


def test_derived_id_is_a_version_7_uuid_with_the_time_of_its_input() -> None:
    source = uuid7()
    derived = uuid.UUID(derived_id("rules", source, 0))
    assert str(derived) == derived_id("rules", source, 0)
    assert (derived.version, derived.variant) == (7, uuid.RFC_4122)
    assert str(derived)[:13] == source[:13]


def test_derived_ids_differ_by_agent_input_and_index() -> None:
    first, second = uuid7(), uuid7()
    ids = {
        derived_id(agent, source, index)
        for agent in ("rules", "risk")
        for source in (first, second)
        for index in range(3)
    }
    assert len(ids) == 12


@pytest.mark.parametrize("foreign", ["x", "order 7", "é" * 40, "z" * 36])
def test_foreign_input_id_still_gives_a_uuid(foreign: str) -> None:
    assert str(uuid.UUID(derived_id("a", foreign, 0))) == derived_id("a", foreign, 0)


def test_without_an_input_each_id_is_new() -> None:
    assert derived_id("a", "", 0) != derived_id("a", "", 0)
