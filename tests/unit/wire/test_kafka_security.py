"""What Kafka's security may be told: nothing that would have no effect, and no password in sight."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.wire.kafka_security import KafkaSecurity
from bellwire.wire.settings import SettingsError

PASSWORD = "correct horse"
USER = {"sasl_username": "trader", "sasl_password": PASSWORD}


def test_a_plain_listener_needs_nothing() -> None:
    security = KafkaSecurity()
    assert (security.uses_tls, security.uses_sasl) == (False, False)


@pytest.mark.parametrize(
    ("protocol", "tls", "sasl"),
    [("SSL", True, False), ("SASL_PLAINTEXT", False, True), ("SASL_SSL", True, True)],
)
def test_a_protocol_says_whether_there_is_tls_and_a_user(
    protocol: str, tls: bool, sasl: bool
) -> None:
    security = KafkaSecurity(security_protocol=protocol, **USER if sasl else {})
    assert (security.uses_tls, security.uses_sasl) == (tls, sasl)


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({"security_protocol": "TLS"}, "security_protocol", "PLAINTEXT | SSL"),
        ({"security_protocol": "SASL_SSL"}, "sasl_username", "a user, for SASL_SSL"),
        (
            {"security_protocol": "SASL_SSL", "sasl_username": "trader"},
            "sasl_password",
            "a password, or `sasl_password_file`",
        ),
        (
            {"security_protocol": "SASL_SSL", **USER, "sasl_password_file": "/run/secret"},
            "sasl_password_file",
            "empty where there is",
        ),
        ({"sasl_username": "trader"}, "sasl_username", "is SASL_SSL or SASL_PLAINTEXT meant"),
        ({"sasl_password": PASSWORD}, "sasl_password", "is SASL_SSL or SASL_PLAINTEXT meant"),
        ({"ssl_ca_location": "ca.pem"}, "ssl_ca_location", "is SSL or SASL_SSL meant"),
        (
            {"security_protocol": "SSL", "ssl_key_location": "key.pem"},
            "ssl_certificate_location",
            "the certificate of `ssl_key_location`",
        ),
        (
            {"security_protocol": "SASL_SSL", **USER, "sasl_mechanism": "GSSAPI"},
            "sasl_mechanism",
            "PLAIN | SCRAM",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_missing_or_would_be_ignored_is_refused(
    given: dict[str, Any], field: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        KafkaSecurity(**given)
    assert raised.value.name == field
    assert expected in raised.value.message
    assert PASSWORD not in raised.value.message


def test_passwords_are_not_in_its_representation() -> None:
    security = KafkaSecurity(
        security_protocol="SASL_SSL",
        **USER,
        ssl_certificate_location="client.pem",
        ssl_key_password="battery staple",
    )
    assert PASSWORD not in repr(security)
    assert "battery staple" not in repr(security)
