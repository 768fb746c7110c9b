"""One number for what the agents decided: the same data and seed give the same digest."""

from __future__ import annotations

import hashlib

from bellwire.cli.demo.recording import Recording
from bellwire.trading.v1.order_pb2 import EXEC_TYPE_TRADE, ExecutionReport, OrderRequest
from bellwire.trading.v1.signal_pb2 import Signal

__all__ = ["decision_digest"]

LENGTH_BYTES = 4  # big-endian length before each payload, so that payloads cannot run together


def decision_digest(recording: Recording) -> str:
    """Return the SHA-256 over all signals, then all orders, then all fills, as hex.

    Each payload is serialized deterministically and preceded by its length. Message ids, times of
    sending and trace contexts are not part of it: they differ from run to run.
    """
    digest = hashlib.sha256()
    for cls in (Signal, OrderRequest, ExecutionReport):
        digest.update(cls.DESCRIPTOR.full_name.encode())
        for _, payload in recording.of(cls):
            if isinstance(payload, ExecutionReport) and payload.exec_type != EXEC_TYPE_TRADE:
                continue
            data = payload.SerializeToString(deterministic=True)
            digest.update(len(data).to_bytes(LENGTH_BYTES, "big"))
            digest.update(data)
    return digest.hexdigest()
