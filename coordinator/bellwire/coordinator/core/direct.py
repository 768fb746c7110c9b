"""Routes from publishers to ephemeral subscriptions on the same host that do not lead through the coordinator.

A publisher writes a batch to the subscriber's socket first, notes the route in its header, and then sends it
here as always: it is admitted, numbered, kept and delivered to everyone else, and the cursor of the subscriber
that has it steps over it. So each batch takes one of the two ways, batch by batch as the publisher finds
room, and what is on the route was in the kernel before it was noted. The subscriber puts both ways in order by
the producer's sequences; what it must not wait for it is told.

Nothing here touches a socket: whoever serves the lane hands out the two ends for the two tokens of a route.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Final

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.direct_pb2 import DirectPartition, DirectRefused, DirectRoute, DirectSkip
from bellwire.bus.v1.message_pb2 import BatchHeader
from bellwire.coordinator.core.flight import Routed

if TYPE_CHECKING:
    from bellwire.coordinator.core.cursor import Cursor
    from bellwire.coordinator.core.partition import Partition
    from bellwire.coordinator.log.protocol import Entry

__all__ = ["PROGRESS_SECONDS", "DirectReader", "DirectRoutes", "DirectWriter", "Route"]

ROUTES_MAX: Final = 64  # Of one stream; further peers are served by the coordinator.
ROUTES_REMEMBERED: Final = (
    256  # Of one subscription, ended ones included: resent batches name them.
)
LOOK_EVERY: Final = 16  # Batches between two looks at a subscriber that is not caught up.
PROGRESS_SECONDS: Final = 0.25  # How old a subscriber's own idea of its positions may be.
ID_BITS: Final = 64


class Route:
    """A way from one publish stream to one subscription.

    Attributes:
        is_open: Whether the subscriber has fetched its end, so that the publisher may be told.
        on_end: Lets go of what is kept for whoever has not fetched its end.
    """

    __slots__ = (
        "is_open",
        "on_end",
        "partitions",
        "reader",
        "reader_token",
        "route_id",
        "writer",
        "writer_token",
    )

    def __init__(
        self, route_id: int, tokens: tuple[int, int], reader: DirectReader, writer: DirectWriter
    ) -> None:
        self.route_id = route_id
        self.reader_token, self.writer_token = tokens
        self.reader = reader
        self.writer = writer
        self.partitions: dict[Partition, None] = {}
        self.is_open = False
        self.on_end: Callable[[], None] = _nothing


class DirectRoutes:
    """All routes whose ends are not both fetched yet, by the tokens that fetch them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._unclaimed: dict[int, Route] = {}

    def open(self, reader: DirectReader, writer: DirectWriter) -> Route:
        """Make a route; its subscriber is told first."""
        tokens = (self._random.getrandbits(ID_BITS) or 1, self._random.getrandbits(ID_BITS) or 1)
        route = Route(self._random.getrandbits(ID_BITS) or 1, tokens, reader, writer)
        self._unclaimed.update(dict.fromkeys(tokens, route))
        return route

    def claim(self, token: int, process: int) -> Route | None:
        """Return the route of a token that this process may fetch an end of, once; None = there is none."""
        route = self._unclaimed.get(token)
        if route is None:
            return None
        side = route.reader if token == route.reader_token else route.writer
        if side.process != process:
            return None
        if token == route.writer_token and not route.is_open:
            return None
        del self._unclaimed[token]
        return route

    def opened(self, route: Route) -> None:
        """Tell the publisher: the subscriber has its end."""
        route.is_open = True
        route.writer.announce(route)

    def end(self, route: Route) -> None:
        """Hand out nothing more of a route."""
        self._unclaimed.pop(route.reader_token, None)
        self._unclaimed.pop(route.writer_token, None)
        route.on_end()


class DirectReader:
    """The subscribing end: one ephemeral subscription over the socket lane.

    Args:
        process: Its process, as the kernel says.
        say: Sends a frame behind everything handed out so far.
        trace: Takes what has sampled messages, and went directly.

    Attributes:
        has_stepped: Whether cursors have moved without a frame that says so.
    """

    def __init__(
        self,
        process: int,
        say: Callable[[pb.SubscribeResponse], None],
        trace: Callable[[Routed], None],
    ) -> None:
        self.process = process
        self.has_stepped = False
        self._say = say
        self._trace = trace
        self._routes: OrderedDict[int, Route | None] = OrderedDict()  # None = ended.
        self._gaps: dict[Partition, set[int]] = {}  # Routes that were told since.

    @property
    def routes(self) -> list[Route]:
        """Those that have not ended."""
        return [route for route in self._routes.values() if route is not None]

    def has(self, header: BatchHeader) -> bool:
        """Tell whether a batch went over a route of this subscription."""
        routes = self._routes
        return any(route_id in routes for route_id in header.direct_routes)

    def step(self, cursor: Cursor, entry: Entry) -> None:
        """Take note that a cursor stepped over a batch; say so where something before it will not come."""
        self.has_stepped = True
        partition, header = cursor.partition, entry.batch.header
        if entry.sampled:
            self._trace(Routed(partition, cursor.subscription.label, entry, direct=True))
        told = self._gaps.get(partition)
        if told is None:
            return
        # Whose messages are missing is not known here: each producer's next batch tells.
        untold = [id_ for id_ in header.direct_routes if id_ in self._routes and id_ not in told]
        if untold:
            told.update(untold)
            skip = DirectSkip(
                producer_id=header.producer_id,
                producer_epoch=header.producer_epoch,
                topic=header.topic,
                partition=header.partition,
                next_sequence=header.base_sequence,
            )
            self._say(pb.SubscribeResponse(direct_skip=skip))

    def miss(self, partition: Partition) -> None:
        """Take note that messages of a partition will not be delivered."""
        if self._routes:
            self._gaps[partition] = set()

    def add(self, route: Route, partition: Partition, header: BatchHeader) -> None:
        """Have a route carry a partition; everything before the batch of this header is handed out."""
        is_new = route.route_id not in self._routes
        self._routes[route.route_id] = route
        while len(self._routes) > ROUTES_REMEMBERED:
            oldest = next((key for key, known in self._routes.items() if known is None), None)
            if oldest is None:
                break
            self._forget(oldest)
        announced = DirectPartition(
            topic=header.topic, partition=partition.index, next_sequence=header.base_sequence
        )
        self._say(
            pb.SubscribeResponse(
                direct_route=DirectRoute(
                    route_id=route.route_id,
                    token=route.reader_token if is_new else 0,
                    producer_id=header.producer_id,
                    producer_epoch=header.producer_epoch,
                    partitions=[announced],
                )
            )
        )

    def ended(self, route: Route) -> None:
        """Note that a route's publisher has gone; batches that name it are stepped over all the same."""
        if route.route_id in self._routes:
            self._routes[route.route_id] = None

    def broken(self, route: Route) -> None:
        """Forget a route: batches that name it are delivered, and the subscriber knows which of them it had.

        After a refusal that is for the subscriber to say: the sequences by which it waits are used anew.
        """
        if route.route_id in self._routes:
            self._forget(route.route_id)
            self._say(pb.SubscribeResponse(direct_refused=DirectRefused(route_id=route.route_id)))

    def _forget(self, route_id: int) -> None:
        del self._routes[route_id]
        for told in self._gaps.values():
            told.discard(route_id)

    def close(self) -> None:
        """End every route: the subscription is gone."""
        for route in self.routes:
            route.writer.drop(route)
        self._routes.clear()


class DirectWriter:
    """The publishing end: one publish stream over the socket lane.

    Args:
        routes: Where routes are made.
        process: Its process, as the kernel says.
        say: Sends a frame.
    """

    def __init__(
        self, routes: DirectRoutes, process: int, say: Callable[[DirectRoute], None]
    ) -> None:
        self.process = process
        self._all = routes
        self._say = say
        self._routes: dict[DirectReader, Route] = {}
        self._seen: dict[Partition, int] = {}
        self._batches_to_look = 0

    def look_at(self, partition: Partition, header: BatchHeader) -> None:
        """See whether a batch about to be appended begins a route, or joins its partition to one.

        A route begins where the subscriber has been handed everything before this batch, and not this batch:
        it may have come over a route of the stream before.
        """
        if self._seen.get(partition) == partition.direct_version:
            return
        if self._batches_to_look:
            self._batches_to_look -= 1
            return
        if header.direct_routes or not partition.allows_direct:
            return
        if partition.next_sequence(header) != header.base_sequence:
            return
        for cursor in _direct(partition.cursors):
            if not self._connect(cursor, header):
                self._batches_to_look = LOOK_EVERY
                return
        self._seen[partition] = partition.direct_version

    def _connect(self, cursor: Cursor, header: BatchHeader) -> bool:
        """Have a route lead to a cursor's subscription; False = it is not caught up."""
        reader, partition = cursor.subscription.direct, cursor.partition
        assert reader is not None
        route = self._routes.get(reader)
        if route is not None and partition in route.partitions:
            return True
        if not cursor.is_caught_up:
            return False
        if route is None:
            if len(self._routes) >= ROUTES_MAX or len(reader.routes) >= ROUTES_MAX:
                return True
            route = self._routes[reader] = self._all.open(reader, self)
        route.partitions[partition] = None
        reader.add(route, partition, header)
        if route.is_open:
            self._say(_announcement(route, 0, (partition,)))
        return True

    def announce(self, route: Route) -> None:
        """Tell the publisher of a route whose other end is in place."""
        self._say(_announcement(route, route.writer_token, route.partitions))

    def drop(self, route: Route) -> None:
        """Forget a route whose subscription is gone."""
        self._all.end(route)
        self._routes.pop(route.reader, None)

    def refused(self) -> None:
        """End every route: a batch was refused, so sequences that were handed over are used anew.

        The publisher does the same when it hears of it; new routes may begin behind that.
        """
        for route in self._routes.values():
            self._all.end(route)
            route.reader.broken(route)
        self._routes.clear()
        self._seen.clear()

    def close(self) -> None:
        """End every route: the stream is gone."""
        for route in self._routes.values():
            self._all.end(route)
            route.reader.ended(route)
        self._routes.clear()


def _nothing() -> None:
    """Nothing is kept yet."""


def _direct(cursors: Iterable[Cursor]) -> Iterable[Cursor]:
    for cursor in cursors:
        subscription = cursor.subscription
        if (
            subscription.direct is not None
            and subscription.overflow_policy != pb.OVERFLOW_POLICY_CONFLATE
        ):
            yield cursor


def _announcement(route: Route, token: int, partitions: Iterable[Partition]) -> DirectRoute:
    return DirectRoute(
        route_id=route.route_id,
        token=token,
        partitions=[
            DirectPartition(topic=partition.topic.name, partition=partition.index)
            for partition in partitions
        ],
    )
