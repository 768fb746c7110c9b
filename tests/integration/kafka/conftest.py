"""A broker with TLS and users, for the tests of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.kafka.certificates import KEY_PASSWORD, Certificates, make_certificates

from bellwire.testing.kafka import free_port, running_kafka
from bellwire.testing.kafka_listeners import SecuredListeners
from bellwire.wire.kafka_security import KafkaSecurity

USER: Final = "trader"
PASSWORD: Final = "correct horse"


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """A broker that runs, its listeners (HOST:PORT), and what its clients need."""

    plaintext: str
    sasl_ssl: str
    ssl: str
    sasl_plaintext: str
    certificates: Certificates

    def with_user(self, **changes: Any) -> KafkaSecurity:
        """TLS and a user, as `sasl_ssl` takes them."""
        given = {
            "security_protocol": "SASL_SSL",
            "sasl_username": USER,
            "sasl_password": PASSWORD,
            "ssl_ca_location": str(self.certificates.authority),
        }
        return KafkaSecurity(**{**given, **changes})

    def with_certificate(self, **changes: Any) -> KafkaSecurity:
        """TLS with a certificate, as `ssl` takes it."""
        given = {
            "security_protocol": "SSL",
            "ssl_ca_location": str(self.certificates.authority),
            "ssl_certificate_location": str(self.certificates.client),
            "ssl_key_location": str(self.certificates.client_key),
            "ssl_key_password": KEY_PASSWORD,
        }
        return KafkaSecurity(**{**given, **changes})


@pytest.fixture(scope="session")
def secured_kafka(
    kafka_jars: None, find_tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    """The broker that all tests of TLS and SASL share."""
    folder = tmp_path_factory.mktemp("secured")
    certificates = make_certificates(find_tool("openssl"), folder)
    listeners = SecuredListeners(
        keystore=certificates.broker,
        truststore=certificates.authority,
        users={USER: PASSWORD},
        sasl_ssl=free_port(),
        ssl=free_port(),
        sasl_plaintext=free_port(),
    )
    with running_kafka(folder / "kafka", secured=listeners) as broker:
        yield SecuredKafka(
            plaintext=broker.bootstrap,
            sasl_ssl=f"127.0.0.1:{listeners.sasl_ssl}",
            ssl=f"127.0.0.1:{listeners.ssl}",
            sasl_plaintext=f"127.0.0.1:{listeners.sasl_plaintext}",
            certificates=certificates,
        )
