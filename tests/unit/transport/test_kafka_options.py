"""What Kafka's clients are given: files are read at the door, and what is wrong with one is said there."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from bellwire.transport.kafka import client_options
from bellwire.wire.kafka_security import KafkaSecurity
from bellwire.wire.settings import SettingsError


def with_password_file(path: Path) -> KafkaSecurity:
    return KafkaSecurity(
        security_protocol="SASL_PLAINTEXT", sasl_username="trader", sasl_password_file=str(path)
    )


def test_a_plain_listener_is_told_so_and_nothing_else() -> None:
    assert client_options(KafkaSecurity()) == {"security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize("text", ["correct horse", "correct horse\n", "correct horse\r\n"])
def test_a_password_file_holds_the_password_in_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(text.encode())
    options = client_options(with_password_file(path))
    assert options["sasl_plain_password"] == "correct horse"
    assert options["sasl_plain_username"] == "trader"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        (b"", "1 to 4096 bytes"),
        (b"\n", "1 to 4096 bytes"),
        (b"x" * 5_000, "1 to 4096 bytes"),
        (b"\xff\xfe", "UTF-8"),
    ],
    ids=["missing", "empty", "an empty line", "too large", "not text"],
)
def test_a_password_file_that_holds_none_is_named(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as raised:
        client_options(with_password_file(path))
    assert raised.value.name == "sasl_password_file"
    assert str(path) in raised.value.message


def test_tls_trusts_the_systems_authorities_and_looks_at_names() -> None:
    options = client_options(KafkaSecurity(security_protocol="SSL"))
    context = options["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("name", ["ssl_ca_location", "ssl_certificate_location"])
@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "not PEM"])
def test_a_certificate_file_that_is_none_is_named(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / "some.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        client_options(KafkaSecurity(security_protocol="SSL", **{name: str(path)}))
    assert raised.value.name == name
    assert str(path) in raised.value.message
