"""The way to Google: the user's credentials are found, or their absence is said; no request is made."""

from __future__ import annotations

import json

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bellwire.sink import AnalyticStoreError
from bellwire.sink.bigquery.channel import open_channel

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"


def test_credentials_that_are_not_there_are_said(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent.json"))
    with pytest.raises(AnalyticStoreError, match=r"no credentials for BigQuery: .*absent.json"):
        open_channel("")


def test_a_service_account_is_enough_to_open_a_channel(monkeypatch, tmp_path):
    key = generate_private_key(65_537, 2_048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "desk",
        "private_key_id": "1",
        "private_key": text,
        "client_email": "sink@desk.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.invalid/token",
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.json"))
    channel = open_channel("")
    try:
        assert isinstance(channel, grpc.Channel)
    finally:
        channel.close()
