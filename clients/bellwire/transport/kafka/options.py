"""What the clients of aiokafka are given, so that brokers let them in."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from bellwire.wire.kafka_security import KafkaSecurity
from bellwire.wire.settings import SettingsError

__all__ = ["client_options"]

PASSWORD_BYTES_MAX: Final = 4_096  # More is the wrong file.


def client_options(security: KafkaSecurity) -> dict[str, Any]:
    """Return arguments for a producer, consumer or admin client; reads the files that are named.

    They hold the password: not to be printed.

    Raises:
        SettingsError: A file cannot be used.
    """
    options: dict[str, Any] = {"security_protocol": security.security_protocol}
    if security.uses_tls:
        options["ssl_context"] = _context(security)
    if security.uses_sasl:
        options["sasl_mechanism"] = security.sasl_mechanism
        options["sasl_plain_username"] = security.sasl_username
        options["sasl_plain_password"] = _password(security)
    return options


def _password(security: KafkaSecurity) -> str:
    """Return the password; of a file its line without the end."""
    path = security.sasl_password_file
    if not path:
        return security.sasl_password
    try:
        with Path(path).open("rb") as file:
            password = file.read(PASSWORD_BYTES_MAX + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise _unusable(
            "sasl_password_file", path, f"a file that can be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise _unusable("sasl_password_file", path, "a file of text, in UTF-8") from None
    if not password or len(password) > PASSWORD_BYTES_MAX:
        raise _unusable(
            "sasl_password_file", path, f"a file with a password of 1 to {PASSWORD_BYTES_MAX} bytes"
        )
    return password


def _context(security: KafkaSecurity) -> ssl.SSLContext:
    ca, certificate = security.ssl_ca_location, security.ssl_certificate_location
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:  # SSLError is one.
        raise _unusable(
            "ssl_ca_location", ca, f"a PEM file of certificates: {_words(error)}"
        ) from None
    if certificate:
        try:
            # An empty password, too: without any, OpenSSL asks for it on the terminal.
            context.load_cert_chain(
                certificate, security.ssl_key_location or None, security.ssl_key_password
            )
        except OSError as error:
            key = f" (key: {security.ssl_key_location})" if security.ssl_key_location else ""
            raise _unusable(
                "ssl_certificate_location",
                certificate,
                f"a PEM file of a certificate and its key{key}, ssl_key_password if it is encrypted: {_words(error)}",
            ) from None
    return context


def _words(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    return reason or error.strerror or str(error)


def _unusable(name: str, found: str, expected: str) -> SettingsError:
    return SettingsError("kafka_security", name, found, expected)
