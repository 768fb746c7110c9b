"""Reads the map of groups from whichever coordinator answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.admin.v1.server_pb2 import ClusterInfo, GetServerInfoRequest
from bellwire.admin.v1.server_pb2_grpc import ServerServiceStub
from bellwire.client._unary import read
from bellwire.policy.topic_groups import GroupEntry
from bellwire.transport.address import Address, AddressError, parse_address
from bellwire.transport.channel import ChannelPool, TransportSettings, channel_options
from bellwire.wire.errors import InvalidTopicNameError, NotImplementedYetError

if TYPE_CHECKING:
    from bellwire.admin.v1.server_pb2_grpc import ServerServiceAsyncStub

__all__ = ["MapReader", "cluster_of", "entries_of"]

_log = logging.getLogger("bellwire.client")

ANSWER_SECONDS: Final = 1.0  # Of one coordinator: several are asked while a client waits.


async def cluster_of(pool: ChannelPool, seconds: float) -> ClusterInfo | None:
    """Ask a coordinator for its cluster; None = it is alone.

    Raises:
        PeerError: No answer in time.
    """
    stub: ServerServiceAsyncStub = ServerServiceStub(pool.first())
    waited_for = f"the map of groups from {pool.address}"
    try:
        info = await read(stub.GetServerInfo, GetServerInfoRequest(), seconds, waited_for)
    except NotImplementedYetError:
        return None
    return info.cluster if info.HasField("cluster") else None


def entries_of(info: ClusterInfo) -> list[GroupEntry]:
    """Return the groups of an answer; one whose topics cannot be read is left out, with a warning.

    Where none are told, because nobody was active yet or knows of groups, there is the one that answered.
    """
    if not info.groups:
        return [GroupEntry(info.group, (), info.owner, info.owner_since_unix_nano)]
    entries = []
    for each in info.groups:
        entry = GroupEntry(each.group, tuple(each.topics), each.owner, each.owner_since_unix_nano)
        try:
            entry.patterns  # noqa: B018 - read to see that they can be
        except InvalidTopicNameError as error:
            _log.warning("group %r is left out of the map: %s", each.group, error.message)
        else:
            entries.append(entry)
    return entries


class MapReader:
    """Asks one coordinator as long as it answers, then the next; every role answers.

    Args:
        places: Where coordinators are, at least one.
        settings: How the connection is kept.
    """

    def __init__(self, places: Sequence[Address], settings: TransportSettings) -> None:
        self._told = tuple(places)
        self._places = list(places)
        self._options = channel_options(settings, len(places))
        self._channel: grpc.aio.Channel | None = None

    @property
    def places(self) -> tuple[Address, ...]:
        """Where it asks, the next first."""
        return tuple(self._places)

    def learn(self, addresses: Iterable[str]) -> None:
        """Ask where the map now says that somebody is, too, after those that the user told.

        Where it said so before is forgotten, but for the place that is being asked.
        """
        found = dict.fromkeys(self._told)
        for text in addresses:
            with suppress(AddressError):  # Said by something that is no coordinator of ours.
                found[parse_address(text)] = None
        asked = self._places[0]
        kept = [place for place in self._places if place is asked or place in found]
        self._places = kept + [place for place in found if place not in kept]

    async def next_place(self) -> None:
        """Ask somebody else the next time."""
        self._places.append(self._places.pop(0))
        await self.close()

    async def read(self) -> ClusterInfo | None:
        """Return the newest that the first who answers knows; None when nobody does, each asked once."""
        for _ in range(len(self._places)):
            with suppress(grpc.aio.AioRpcError):
                info = await self._stub().GetServerInfo(
                    GetServerInfoRequest(), timeout=ANSWER_SECONDS
                )
                if info.cluster.groups:
                    return info.cluster
            await self.next_place()
        return None

    def _stub(self) -> ServerServiceAsyncStub:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._places[0].target, options=self._options)
        stub: ServerServiceAsyncStub = ServerServiceStub(self._channel)
        return stub

    async def close(self) -> None:
        """Close the connection; the next read opens one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await asyncio.shield(channel.close())
