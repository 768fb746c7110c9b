"""How a Kafka lets clients in: TLS and SASL, under the names that Kafka's clients have for them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bellwire.wire.settings import HIDDEN, SettingsError, check_settings, setting

__all__ = ["KafkaSecurity"]

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """What brokers ask for before they answer; the names are librdkafka's, with underscores.

    Raises:
        SettingsError: Something is missing, or would be ignored: what is set must have an effect.
    """

    security_protocol: str = field(
        default="PLAINTEXT",
        metadata=setting(
            unit="",
            why="As `make kafka` listens; the others encrypt or ask who we are",
            choices=PROTOCOLS,
        ),
    )
    sasl_mechanism: str = field(
        default="SCRAM-SHA-512",
        metadata=setting(
            unit="", why="The strongest: the password is proved, and not sent", choices=MECHANISMS
        ),
    )
    sasl_username: str = field(default="", metadata=setting(unit="", why="Needed by SASL alone"))
    sasl_password: str = field(
        default="",
        repr=False,
        metadata=setting(
            unit="",
            why="Needed by SASL alone; better in the environment than in a file",
            secret=True,
        ),
    )
    sasl_password_file: str = field(
        default="",
        metadata=setting(
            unit="", why="Instead: a file with the password, as orchestrators mount it"
        ),
    )
    ssl_ca_location: str = field(
        default="",
        metadata=setting(
            unit="", why="PEM of who signed the brokers' certificates; empty = the system's"
        ),
    )
    ssl_certificate_location: str = field(
        default="",
        metadata=setting(unit="", why="PEM of our own certificate, for brokers that want one"),
    )
    ssl_key_location: str = field(
        default="",
        metadata=setting(unit="", why="PEM of its key; empty = beside it in the same file"),
    )
    ssl_key_password: str = field(
        default="",
        repr=False,
        metadata=setting(unit="", why="Of that key, where it is encrypted", secret=True),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.uses_sasl:
            self._check_user()
        else:
            self._check_unused(
                ("sasl_username", "sasl_password", "sasl_password_file"),
                "SASL_SSL or SASL_PLAINTEXT",
            )
        if not self.uses_tls:
            self._check_unused(
                (
                    "ssl_ca_location",
                    "ssl_certificate_location",
                    "ssl_key_location",
                    "ssl_key_password",
                ),
                "SSL or SASL_SSL",
            )
        if self.ssl_key_location and not self.ssl_certificate_location:
            raise self._wrong("ssl_certificate_location", "the certificate of `ssl_key_location`")

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether brokers are told who we are."""
        return self.security_protocol.startswith("SASL")

    def _check_user(self) -> None:
        if not self.sasl_username:
            raise self._wrong("sasl_username", f"a user, for {self.security_protocol}")
        if not self.sasl_password and not self.sasl_password_file:
            raise self._wrong("sasl_password", "a password, or `sasl_password_file`")
        if self.sasl_password and self.sasl_password_file:
            raise self._wrong("sasl_password_file", "empty where there is a `sasl_password`")

    def _check_unused(self, names: tuple[str, ...], protocols: str) -> None:
        """Refuse what would be ignored: who gives a password does not mean to go without it."""
        for name in names:
            if getattr(self, name):
                raise self._wrong(
                    name,
                    f"empty with security_protocol {self.security_protocol}; is {protocols} meant?",
                )

    def _wrong(self, name: str, expected: str) -> SettingsError:
        found = getattr(self, name)
        is_secret = name in ("sasl_password", "ssl_key_password")
        return SettingsError(
            "kafka_security", name, HIDDEN if is_secret and found else found, expected
        )
