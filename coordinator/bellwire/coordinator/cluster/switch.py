"""Gives each RPC to whatever serves at that moment: the gRPC server and the lanes never stop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

__all__ = ["RoleSwitch"]


class RoleSwitch(grpc.GenericRpcHandler):
    """Stands where the handlers of a coordinator stand, and passes on to others, which may change.

    Args:
        handlers: What serves at first.
    """

    def __init__(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers = tuple(handlers)

    def turn(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Pass RPCs that begin from now on to these."""
        self._handlers = tuple(handlers)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return what serves a method; None = nothing does."""
        for handler in self._handlers:
            found: grpc.RpcMethodHandler[Any, Any] | None = handler.service(handler_call_details)
            if found is not None:
                return found
        return None
