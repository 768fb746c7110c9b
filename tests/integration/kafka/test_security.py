"""TLS and users: the store, the bridge and plain consumers are let in, or told why not, at the start."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from tests.integration.bridge.bridging import (
    bridge,
    make_topic,
    records,
    send,
    take,
    unique,
    within,
)
from tests.integration.kafka.conftest import PASSWORD, SecuredKafka
from tests.integration.store.material import entries, seen, whole_log

from bellwire.bridge import BridgeSettings
from bellwire.bridge.bridge import run_bridge
from bellwire.client import Message, connect, new_message
from bellwire.client.kafka import decode_record
from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
from bellwire.coordinator.log.records import TopicRecord
from bellwire.testing import running_coordinator
from bellwire.transport.kafka import client_options
from bellwire.wire.errors import KafkaRefusedError
from bellwire.wire.kafka_security import KafkaSecurity

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LOG = 7
AT_ONCE_SECONDS = 10  # Of the bridge's 30 in which it tries again what may pass.
Attempt: TypeAlias = "Callable[[SecuredKafka], tuple[str, KafkaSecurity]]"


def store_settings(bootstrap: str, security: KafkaSecurity) -> KafkaSettings:
    return KafkaSettings(bootstrap, state_topic=f"_state-{uuid4().hex}", security=security)


def message_of(text: str) -> Message:
    return new_message(data=text.encode(), key="EURUSD", source="vendor", type="text")


# ------------------------------------------------------------ let in


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_store_keeps_and_finds_what_it_wrote(
    secured_kafka: SecuredKafka, mechanism: str
) -> None:
    settings = store_settings(
        secured_kafka.sasl_ssl, secured_kafka.with_user(sasl_mechanism=mechanism)
    )
    store = KafkaStore(settings)
    store.load()
    written = entries(LOG, 2, 1)
    store.write([TopicRecord(unique("orders"), b"", (LOG,)), *written])
    store.close()
    again = KafkaStore(settings)
    again.load()
    try:
        assert whole_log(again, LOG) == seen(record.entry for record in written)
    finally:
        again.close()


async def test_the_bridge_mirrors_both_ways_with_a_password_file(
    secured_kafka: SecuredKafka, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    out_topic, in_topic = unique("orders"), unique("ticks")
    await make_topic(secured_kafka.plaintext, in_topic, 1)
    settings = BridgeSettings(
        kafka=secured_kafka.sasl_ssl,
        kafka_security=secured_kafka.with_user(sasl_password="", sasl_password_file=str(password)),
        out_topics=(out_topic,),
        in_topics=(f"{in_topic}=ticks",),
    )
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        bridge(client, settings),
    ):
        await client.publisher().publish(out_topic, b"out", key="EURUSD")
        await send(secured_kafka.plaintext, in_topic, message_of("in"))
        (there,) = await records(secured_kafka.plaintext, out_topic, 1)
        (here,) = await take(client, "ticks", 1)
    assert (there.value, here.data) == (b"out", b"in")


async def test_a_plain_consumer_is_let_in_with_a_certificate(secured_kafka: SecuredKafka) -> None:
    topic = unique("signals")
    await make_topic(secured_kafka.plaintext, topic, 1)
    await send(secured_kafka.plaintext, topic, message_of("through"))
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=secured_kafka.ssl,
        auto_offset_reset="earliest",
        **client_options(secured_kafka.with_certificate()),
    )
    async with consumer:
        record = await within(consumer.getone())
    assert decode_record(record).data == b"through"


# ------------------------------------------------------------ refused

REFUSED: dict[str, tuple[Attempt, str]] = {
    "a wrong password": (
        lambda kafka: (kafka.sasl_ssl, kafka.with_user(sasl_password="not this one")),
        r"refuses user 'trader' by SCRAM-SHA-512 .*: check sasl_username and sasl_password",
    ),
    "a wrong password in plain": (
        lambda kafka: (
            kafka.sasl_ssl,
            kafka.with_user(sasl_password="not this one", sasl_mechanism="PLAIN"),
        ),
        r"refuses user 'trader' by PLAIN .*: check sasl_username and sasl_password",
    ),
    "a wrong authority": (
        lambda kafka: (
            kafka.sasl_ssl,
            kafka.with_user(ssl_ca_location=str(kafka.certificates.stranger)),
        ),
        r"is not trusted \(.*issuer.*\): set ssl_ca_location to the PEM file",
    ),
    "another name": (
        lambda kafka: (kafka.sasl_ssl.replace("127.0.0.1", "localhost"), kafka.with_user()),
        r"is not trusted \(.*localhost.*\): connect under a name that is in it",
    ),
    "plaintext to a TLS port": (
        lambda kafka: (kafka.ssl, KafkaSecurity()),
        r"speaks TLS: set security_protocol to SSL or SASL_SSL",
    ),
    "TLS to a plain port": (
        lambda kafka: (kafka.plaintext, kafka.with_certificate()),
        r"speaks no TLS: set security_protocol to PLAINTEXT or SASL_PLAINTEXT",
    ),
    "no user": (
        lambda kafka: (kafka.sasl_plaintext, KafkaSecurity()),
        r"wants a user: set security_protocol to SASL_PLAINTEXT, sasl_mechanism to one of "
        r"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
    ),
    "no user over TLS": (
        lambda kafka: (kafka.sasl_ssl, kafka.with_certificate()),
        r"wants a user: set security_protocol to SASL_SSL",
    ),
    "a user where none is asked for": (
        lambda kafka: (
            kafka.plaintext,
            kafka.with_user(security_protocol="SASL_PLAINTEXT", ssl_ca_location=""),
        ),
        r"asks for no user at this port: set security_protocol to PLAINTEXT",
    ),
    "no certificate": (
        lambda kafka: (
            kafka.ssl,
            kafka.with_certificate(
                ssl_certificate_location="", ssl_key_location="", ssl_key_password=""
            ),
        ),
        r"ends the TLS connection \(.*certificate.*\): it may want a certificate",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_kafka_refuses_is_said_at_the_start(
    secured_kafka: SecuredKafka, case: str
) -> None:
    attempt, said = REFUSED[case]
    bootstrap, security = attempt(secured_kafka)
    store = KafkaStore(store_settings(bootstrap, security))
    with pytest.raises(KafkaRefusedError, match=said) as of_store:
        await within(asyncio.to_thread(store.load), AT_ONCE_SECONDS)
    settings = BridgeSettings(kafka=bootstrap, kafka_security=security, out_topics=("signals",))
    async with running_coordinator() as running, connect(running.unix) as client:
        with pytest.raises(KafkaRefusedError, match=said) as of_bridge:
            await within(run_bridge(client, settings, asyncio.Event()), AT_ONCE_SECONDS)
    for raised in (of_store, of_bridge):
        assert "not this one" not in raised.value.message


@pytest.mark.parametrize(
    ("section", "command"),
    [
        ("coordinator", ("serve", "--kafka", "{kafka}", "--listen", "127.0.0.1:0")),
        ("bridge", ("bridge", "--kafka", "{kafka}", "--out", "signals", "--address", "{address}")),
    ],
    ids=["serve", "bridge"],
)
async def test_the_command_says_it_and_never_the_password(
    secured_kafka: SecuredKafka, section: str, command: tuple[str, ...]
) -> None:
    prefix = f"BELLWIRE_{section.upper()}__KAFKA_SECURITY__"
    environment = {
        f"{prefix}SECURITY_PROTOCOL": "SASL_SSL",
        f"{prefix}SASL_USERNAME": "trader",
        f"{prefix}SASL_PASSWORD": "not this one",
        f"{prefix}SSL_CA_LOCATION": str(secured_kafka.certificates.authority),
    }
    async with running_coordinator() as running:
        words = [word.format(kafka=secured_kafka.sasl_ssl, address=running.tcp) for word in command]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bellwire.cli", *words),
            env={**os.environ, **environment},
            stdout=PIPE,
            stderr=PIPE,
        )
        said, complained = await within(process.communicate())
    assert process.returncode not in (0, None)
    assert b"refuses user 'trader'" in complained
    assert b"Traceback" not in complained
    assert b"not this one" not in said + complained
