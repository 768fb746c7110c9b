"""What to tell people whom Kafka does not let in: what it wants, and which setting says so. No I/O."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bellwire.wire.errors import KafkaRefusedError

__all__ = [
    "no_tls",
    "not_trusted",
    "tls",
    "unproved",
    "wants_certificate",
    "wants_user",
    "wrong_mechanism",
    "wrong_user",
]

# X509_V_ERR_* of OpenSSL.
EXPIRED: Final = 10
OTHER_NAME: Final = (62, 64)  # Of a host, of an address.


def not_trusted(kafka: str, error: ssl.SSLCertVerificationError) -> KafkaRefusedError:
    """Its certificate proves nothing to us."""
    if error.verify_code in OTHER_NAME:
        todo = "connect under a name that is in it"
    elif error.verify_code == EXPIRED:
        todo = "have it renewed"
    else:
        todo = "set ssl_ca_location to the PEM file of who signed it"
    return _refusal(
        kafka,
        f"the certificate of Kafka at {kafka} is not trusted ({error.verify_message}): {todo}",
    )


def wrong_user(kafka: str, options: Mapping[str, Any], said: Sequence[object]) -> KafkaRefusedError:
    """User or password is wrong; which of them brokers do not say."""
    words = "; ".join(str(each) for each in said if each)
    return _refusal(
        kafka,
        f"Kafka at {kafka} refuses user {options['sasl_plain_username']!r} by {options['sasl_mechanism']}"
        f"{f' ({words})' if words else ''}: check sasl_username and sasl_password",
    )


def unproved(kafka: str, said: str) -> KafkaRefusedError:
    """It does not know the password itself."""
    return _refusal(
        kafka,
        f"Kafka at {kafka} does not prove that it knows the password ({said}): is it the Kafka you mean?",
    )


def wrong_mechanism(
    kafka: str, options: Mapping[str, Any], mechanisms: Sequence[str]
) -> KafkaRefusedError:
    """It wants another way of SASL, or none."""
    if mechanisms:
        return _refusal(
            kafka,
            f"Kafka at {kafka} does not take {options['sasl_mechanism']}: set sasl_mechanism to one of "
            + ", ".join(mechanisms),
        )
    plain = "SSL" if _is_encrypted(options["security_protocol"]) else "PLAINTEXT"
    return _refusal(
        kafka,
        f"Kafka at {kafka} asks for no user at this port: set security_protocol to {plain}, or take the port of its "
        "listener with SASL",
    )


def wants_user(kafka: str, protocol: str, mechanisms: Sequence[str]) -> KafkaRefusedError:
    """It wants SASL, and we have none."""
    wanted = "SASL_SSL" if _is_encrypted(protocol) else "SASL_PLAINTEXT"
    return _refusal(
        kafka,
        f"Kafka at {kafka} wants a user: set security_protocol to {wanted}, sasl_mechanism to one of "
        f"{', '.join(mechanisms)}, sasl_username and sasl_password",
    )


def tls(kafka: str, protocol: str) -> KafkaRefusedError:
    """It speaks TLS, and we do not."""
    wanted = "SASL_SSL" if protocol.startswith("SASL") else "SSL or SASL_SSL"
    return _refusal(
        kafka,
        f"Kafka at {kafka} speaks TLS: set security_protocol to {wanted}, or take the port of a listener without",
    )


def no_tls(kafka: str) -> KafkaRefusedError:
    """We speak TLS, and it does not."""
    return _refusal(
        kafka,
        f"Kafka at {kafka} speaks no TLS: set security_protocol to PLAINTEXT or SASL_PLAINTEXT, or take the port of "
        "a listener with TLS",
    )


def wants_certificate(kafka: str, error: ssl.SSLError) -> KafkaRefusedError:
    """It ended TLS with an alert: as a rule for want of a certificate of ours."""
    alert = (error.reason or "").lower().replace("_", " ")
    return _refusal(
        kafka,
        f"Kafka at {kafka} ends the TLS connection ({alert}): it may want a certificate of ours that it trusts; set "
        "ssl_certificate_location and ssl_key_location",
    )


def _is_encrypted(protocol: str) -> bool:
    return protocol.endswith("SSL")


def _refusal(kafka: str, message: str) -> KafkaRefusedError:
    return KafkaRefusedError(message, metadata={"kafka": kafka})
