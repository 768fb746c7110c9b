"""See at the start that a Kafka can be used: one connection that says why not.

Kafka's client tries on for as long as it may, whatever is the matter, and says in the end that it could not connect.
So a broker is asked once before, and where it only hangs up, asked in other ways until it is known what it wants.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import ApiVersionRequest, SaslHandShakeRequest

from bellwire.transport.kafka import refusals
from bellwire.transport.kafka.capabilities import Capability, Versions, check_versions
from bellwire.wire.errors import BellwireError, KafkaRefusedError
from bellwire.wire.settings import SettingsError

__all__ = ["check_kafka"]

CLIENT_ID: Final = "bellwire-check"
CLOSE_SECONDS: Final = 1.0
NO_ERROR: Final = 0
_PLAIN: Final = {"security_protocol": "PLAINTEXT"}


class Broker(NamedTuple):
    """One of those that are named."""

    host: str
    port: int
    timeout_seconds: float

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def check_kafka(
    bootstrap: str,
    options: Mapping[str, Any],
    needed: Iterable[Capability],
    *,
    timeout_seconds: float,
) -> None:
    """See that a broker lets us in and can do what is needed; the first that does settles it.

    Args:
        bootstrap: HOST:PORT of brokers, comma between.
        options: Of `client_options`.
        needed: What brokers are asked for.
        timeout_seconds: For each answer of each broker.

    Raises:
        KafkaRefusedError: It does not let us in, and what it wants.
        KafkaVersionError: It is too old or too new.
        KafkaError, OSError, TimeoutError: None of them answers.
        SettingsError: `bootstrap` is no list of brokers.
    """
    refusal: BellwireError | None = None
    trouble: Exception | None = None
    for broker in _brokers(bootstrap, timeout_seconds):
        try:
            versions = await _versions(broker, options)
        except KafkaRefusedError as error:
            refusal = refusal or error
        except (KafkaError, OSError, TimeoutError) as error:
            trouble = trouble or error
        else:
            check_versions(str(broker), versions, needed)
            return
    found = refusal or trouble
    assert found is not None
    raise found


def _brokers(bootstrap: str, timeout_seconds: float) -> list[Broker]:
    try:
        hosts = collect_hosts(bootstrap)
    except ValueError:
        raise SettingsError(
            "kafka", "bootstrap", bootstrap, "HOST:PORT of brokers, comma between"
        ) from None
    return [Broker(host, port, timeout_seconds) for host, port, _ in hosts]


async def _versions(broker: Broker, options: Mapping[str, Any]) -> Versions:
    """Return which versions it speaks; whoever hears them has been let in."""
    try:
        async with _connected(broker, options) as connection:
            # Sent once already; a broker that wants a user first answers that one, and hangs up now.
            answer = await connection.send(ApiVersionRequest())
    except ssl.SSLCertVerificationError as error:
        raise refusals.not_trusted(str(broker), error) from None
    except SaslAuthenticationFailed as error:
        raise refusals.wrong_user(str(broker), options, error.args) from None
    except (
        UnsupportedSaslMechanismError,
        IllegalSaslStateError,
        IncompatibleBrokerVersion,
    ) as error:
        mechanisms = await _mechanisms(broker, options)
        raise refusals.wrong_mechanism(str(broker), options, mechanisms) from error
    except ValueError as error:  # Of SCRAM: what the broker says to prove itself is wrong.
        raise refusals.unproved(str(broker), str(error)) from None
    except (KafkaConnectionError, OSError) as error:
        refusal = await _reason(broker, options, error)
        raise (refusal or error) from None
    return {key: (first, last) for key, first, last in answer.api_versions}


async def _reason(
    broker: Broker, options: Mapping[str, Any], error: Exception
) -> KafkaRefusedError | None:
    """Find out why a broker has hung up; None = it is not known, and may pass."""
    if isinstance(error, TimeoutError | ConnectionRefusedError):
        return None
    protocol = str(options["security_protocol"])
    if protocol.endswith("SSL"):
        told = error if isinstance(error, ssl.SSLError) else error.__cause__
        if await _answers(broker, _PLAIN):
            return refusals.no_tls(str(broker))
        if isinstance(told, ssl.SSLError) and "ALERT" in (told.reason or ""):
            return refusals.wants_certificate(str(broker), told)
    elif await _speaks_tls(broker):
        return refusals.tls(str(broker), protocol)
    if not protocol.startswith("SASL") and (mechanisms := await _mechanisms(broker, options)):
        return refusals.wants_user(str(broker), protocol, mechanisms)
    return None


async def _answers(broker: Broker, options: Mapping[str, Any]) -> bool:
    """Tell whether it speaks Kafka in this way."""
    try:
        async with _connected(broker, options):
            return True
    except (KafkaError, OSError, TimeoutError):
        return False


async def _speaks_tls(broker: Broker) -> bool:
    """Tell whether there is TLS, whoever's certificate it shows: nothing is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(broker.timeout_seconds):
            _, writer = await asyncio.open_connection(broker.host, broker.port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # It understood, and wants something.
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _mechanisms(broker: Broker, options: Mapping[str, Any]) -> list[str]:
    """Return which ways of SASL it knows; none = it asks nobody."""
    encrypted = str(options["security_protocol"]).endswith("SSL")
    without_user = (
        {"security_protocol": "SSL", "ssl_context": options["ssl_context"]} if encrypted else _PLAIN
    )
    try:
        async with _connected(broker, without_user) as connection:
            answer = await connection.send(SaslHandShakeRequest("PLAIN"))
            return sorted(answer.enabled_mechanisms)
    except (KafkaError, OSError, TimeoutError):
        return []


@asynccontextmanager
async def _connected(
    broker: Broker, options: Mapping[str, Any]
) -> AsyncIterator[AIOKafkaConnection]:
    connection = await create_conn(
        broker.host,
        broker.port,
        client_id=CLIENT_ID,
        request_timeout_ms=round(broker.timeout_seconds * 1_000),
        **options,
    )
    try:
        yield connection
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
