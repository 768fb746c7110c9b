"""The way to BigQuery: Google's endpoint with the user's credentials, or a plain one for tests."""

from __future__ import annotations

from typing import Final

import grpc

from bellwire.sink.errors import AnalyticStoreError

__all__ = ["GOOGLE", "open_channel"]

GOOGLE: Final = "bigquerystorage.googleapis.com:443"
_SCOPES: Final = (
    "https://www.googleapis.com/auth/bigquery.insertdata",
    "https://www.googleapis.com/auth/bigquery",
)
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 60_000),  # More often, and Google calls it abuse.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # Instead of two minutes.
    ("grpc.enable_retries", 0),  # Ours know the offsets.
)


def open_channel(endpoint: str) -> grpc.Channel:
    """Return a channel; it connects with the first request.

    Args:
        endpoint: HOST:PORT without TLS and without credentials; empty = Google's own.

    Raises:
        AnalyticStoreError: There are no credentials.
    """
    if endpoint:
        return grpc.insecure_channel(endpoint, options=_OPTIONS)
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.grpc import secure_authorized_channel
    from google.auth.transport.requests import Request

    try:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    except GoogleAuthError as error:
        raise AnalyticStoreError(
            f"no credentials for BigQuery: {str(error).partition(chr(10))[0]}; set GOOGLE_APPLICATION_CREDENTIALS to "
            "the key file of a service account, or run `gcloud auth application-default login`"
        ) from error
    channel: grpc.Channel = secure_authorized_channel(  # type: ignore[no-untyped-call]  # It has no types.
        credentials, Request(), GOOGLE, options=_OPTIONS
    )
    return channel
