"""Listeners with TLS and users, beside the plain one of a test's broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["SecuredListeners"]

_MODULES: Final = "org.apache.kafka.common.security"
_SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class SecuredListeners:
    """What such listeners need; on 127.0.0.1.

    Attributes:
        keystore: PEM with the broker's key (PKCS #8) and certificate.
        truststore: PEM of who signs certificates of clients.
        users: Their passwords, for PLAIN and both kinds of SCRAM; without quotes and brackets.
        sasl_ssl: Port with TLS and a user.
        ssl: Port with TLS and a certificate of the client.
        sasl_plaintext: Port with a user and without TLS.
    """

    keystore: Path
    truststore: Path
    users: Mapping[str, str]
    sasl_ssl: int
    ssl: int
    sasl_plaintext: int

    def listeners(self) -> str:
        """Return what to add to `listeners`."""
        ports = {
            "SASL_SSL": self.sasl_ssl,
            "SSL": self.ssl,
            "SASL_PLAINTEXT": self.sasl_plaintext,
        }
        return "".join(f",{name}://127.0.0.1:{port}" for name, port in ports.items())

    def properties(self) -> str:
        """Return what to add to the broker's properties."""
        plain = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        lines = [
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.keystore}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.truststore}",
            "listener.name.ssl.ssl.client.auth=required",
            f"sasl.enabled.mechanisms=PLAIN,{','.join(_SCRAM)}",
        ]
        for listener in ("sasl_ssl", "sasl_plaintext"):
            prefix = f"listener.name.{listener}"
            lines.append(
                f"{prefix}.plain.sasl.jaas.config={_MODULES}.plain.PlainLoginModule required {plain};"
            )
            lines += [
                f"{prefix}.{mechanism.lower()}.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;"
                for mechanism in _SCRAM
            ]
        return "\n".join(lines) + "\n"

    def format_arguments(self) -> list[str]:
        """Return what `kafka-storage format` is told, so that the users are there from the first start."""
        return [
            argument
            for name, password in self.users.items()
            for mechanism in _SCRAM
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
