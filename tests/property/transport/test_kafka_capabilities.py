"""Whatever versions a broker speaks: where it is let pass, the client finds one that says what is to be said."""

from __future__ import annotations

from types import SimpleNamespace

from aiokafka.protocol.api import Request
from hypothesis import given
from hypothesis import strategies as st

from bellwire.transport.kafka import CONSUMER_GROUPS, IDEMPOTENT_PRODUCER, TRANSACTIONS
from bellwire.transport.kafka.capabilities import Need, Versions, check_versions
from bellwire.wire.errors import KafkaVersionError

CAPABILITIES = (IDEMPOTENT_PRODUCER, TRANSACTIONS, CONSUMER_GROUPS)
NEEDS = [need for capability in CAPABILITIES for need in capability.needs]
ranges = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda pair: (min(pair), max(pair)))
brokers = st.fixed_dictionaries(
    {}, optional={need.request.API_KEY: ranges for need in NEEDS}
) | st.fixed_dictionaries({need.request.API_KEY: ranges for need in NEEDS})


def chosen(need: Need, versions: Versions) -> int | None:
    """The version that the client itself chooses; None = it fails."""
    request = SimpleNamespace(
        API_KEY=need.request.API_KEY,
        ALLOW_UNKNOWN_API_VERSION=False,
        _CLASSES=need.request._CLASSES,
        build=lambda struct: struct.API_VERSION,
    )
    try:
        return int(Request.prepare(request, versions))
    except Exception:  # noqa: BLE001  # Whatever it fails with.
        return None


@given(brokers)
def test_a_broker_passes_if_and_only_if_the_client_can_say_everything_to_it(
    versions: dict[int, tuple[int, int]],
) -> None:
    found = [chosen(need, versions) for need in NEEDS]
    serves = all(
        version is not None and version >= need.version
        for version, need in zip(found, NEEDS, strict=True)
    )
    try:
        check_versions("broker:9092", versions, CAPABILITIES)
    except KafkaVersionError:
        assert not serves
    else:
        assert serves
