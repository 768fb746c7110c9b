"""Which brokers serve: what they lack is named, with what they have and what is needed."""

from __future__ import annotations

import pytest

from bellwire.transport.kafka import (
    CONSUMER_GROUPS,
    CREATE_TOPICS,
    DELETE_RECORDS,
    IDEMPOTENT_PRODUCER,
    READ_COMMITTED,
    TRANSACTIONS,
)
from bellwire.transport.kafka.capabilities import check_versions
from bellwire.wire.errors import KafkaVersionError

EVERYTHING = (
    IDEMPOTENT_PRODUCER,
    TRANSACTIONS,
    READ_COMMITTED,
    CONSUMER_GROUPS,
    CREATE_TOPICS,
    DELETE_RECORDS,
)
PRODUCE, FETCH, INIT_PRODUCER_ID, END_TXN = 0, 1, 22, 26
ALL_VERSIONS = {
    need.request.API_KEY: (0, 100) for capability in EVERYTHING for need in capability.needs
}


def test_a_broker_that_speaks_everything_serves() -> None:
    check_versions("broker:9092", ALL_VERSIONS, EVERYTHING)


@pytest.mark.parametrize(
    ("key", "versions", "said"),
    [
        (
            PRODUCE,
            (0, 2),
            "too old: it speaks Produce up to version 2, needed is 3 (for idempotent",
        ),
        (PRODUCE, (8, 12), "too new: it speaks Produce from version 8 on, known are those up to 7"),
        (
            FETCH,
            (0, 3),
            "too old: it speaks Fetch up to version 3, needed is 4 (for reading what is",
        ),
        (END_TXN, None, "too old: it has no EndTxn (for transactions); use Kafka 2.4 or newer"),
    ],
)
def test_what_is_wrong_with_it_is_said(
    key: int, versions: tuple[int, int] | None, said: str
) -> None:
    found = {**ALL_VERSIONS}
    del found[key]
    if versions is not None:
        found[key] = versions
    with pytest.raises(KafkaVersionError) as raised:
        check_versions("broker:9092", found, EVERYTHING)
    assert f"the broker at broker:9092 is {said}" in raised.value.message


def test_all_that_is_lacking_is_said_at_once() -> None:
    found = {**ALL_VERSIONS, PRODUCE: (8, 12)}
    del found[INIT_PRODUCER_ID]
    with pytest.raises(
        KafkaVersionError, match=r"is too old: .*Produce.*; it has no InitProducerId"
    ):
        check_versions("broker:9092", found, EVERYTHING)


def test_what_is_not_needed_may_be_missing() -> None:
    found = {**ALL_VERSIONS}
    del found[END_TXN]
    check_versions("broker:9092", found, (IDEMPOTENT_PRODUCER, CONSUMER_GROUPS))
