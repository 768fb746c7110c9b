"""Certificates of a test: an authority, another one nobody trusts, a broker's and a client's."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY_PASSWORD: Final = "battery staple"  # Of the client's key.
_CONFIG: Final = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[peer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files.

    Attributes:
        authority: Of who signed the others.
        stranger: Of an authority that signed none of them.
        broker: Key and certificate of 127.0.0.1.
        client: Certificate of a client.
        client_key: Its key, encrypted with KEY_PASSWORD.
    """

    authority: Path
    stranger: Path
    broker: Path
    client: Path
    client_key: Path


def make_certificates(openssl: Path, folder: Path) -> Certificates:
    """Make them, good for two days."""
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [str(openssl), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def certify(name: str, extensions: str, *more: str) -> Path:
        run(
            *("req", "-x509", "-config", str(config), "-extensions", extensions, *_NEW_KEY),
            *("-days", "2", "-subj", f"/CN=Bellwire test {name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem", *more),
        )
        return folder / f"{name}.pem"

    signed = ("-CA", "authority.pem", "-CAkey", "authority.key")
    authority = certify("authority", "authority", "-nodes")
    stranger = certify("stranger", "authority", "-nodes")
    certify("broker", "peer", "-nodes", *signed)
    client = certify("client", "peer", "-passout", f"pass:{KEY_PASSWORD}", *signed)
    keystore = folder / "keystore.pem"
    keystore.write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
    return Certificates(authority, stranger, keystore, client, folder / "client.key")
