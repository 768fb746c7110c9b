# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself, `filter` the contract's.
"""Administration of several groups of coordinators: each topic at its group, lists over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from bellwire.admin.v1.dead_letter_pb2 import (
    DeadLetter,
    DeadLetterFilter,
    PurgeDeadLettersResponse,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse, Topic
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import START_POLICY_POSITIONS, StartPosition
from bellwire.client._dead_letters import Progress
from bellwire.client._groups import Groups
from bellwire.client.admin import DEAD_LETTERS_PAGE, Admin
from bellwire.client.results import ReachableTopics
from bellwire.transport.group_pool import GroupPool
from bellwire.wire.errors import BellwireError, CapacityError, PeerError, UnknownSubscriptionError

__all__ = ["GroupAdmin"]

T = TypeVar("T")


class GroupAdmin(Admin):
    """`Admin` for several groups; agents and the server itself are those of the group the client came to first.

    What concerns a subscription in several groups is done in one after the other: when one of them fails, it is done
    in those before. A list is refused while one of the groups does not answer, for it would not be whole;
    `reachable_topics` is the exception, which names who is missing.
    """

    def __init__(self, groups: Groups, timeout_seconds: float) -> None:
        super().__init__(groups.home_pool, timeout_seconds)
        self._groups = groups

    async def create_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Create a topic at the group that owns its name."""
        return await self._at_owner(
            topic.name,
            timeout,
            lambda admin: admin.create_topic(topic, request_id=request_id),
        )

    async def update_topic(
        self, topic: Topic, *, request_id: str = "", timeout: float | None = None
    ) -> Topic:
        """Change the settings of a topic to those given, and return it."""
        return await self._at_owner(
            topic.name,
            timeout,
            lambda admin: admin.update_topic(topic, request_id=request_id),
        )

    async def get_topic(self, name: str, *, timeout: float | None = None) -> Topic:
        """Look one topic up."""
        return await self._at_owner(name, timeout, lambda admin: admin.get_topic(name))

    async def delete_topic(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a topic with its messages."""
        await self._at_owner(
            name, timeout, lambda admin: admin.delete_topic(name, request_id=request_id)
        )

    async def list_topics(self, pattern: str = "", *, timeout: float | None = None) -> list[Topic]:
        """List topics of all groups that match the pattern, ordered by name; empty = all."""
        found = await self.reachable_topics(pattern, timeout=timeout)
        for error in found.missing.values():
            raise error
        return found.topics

    async def reachable_topics(
        self, pattern: str = "", *, timeout: float | None = None
    ) -> ReachableTopics:
        """List topics of the groups that answer, and name those that do not."""
        answers = await self._at_all(timeout, lambda admin: admin.list_topics(pattern))
        missing = {
            group: answer for group, answer in answers.items() if isinstance(answer, BellwireError)
        }
        if len(missing) == len(answers):
            raise next(iter(missing.values()))
        found: dict[str, Topic] = {}
        for group, topics in answers.items():
            for topic in topics if not isinstance(topics, BellwireError) else ():
                if topic.name not in found or self._groups.map.group_of(topic.name) == group:
                    found[topic.name] = topic
        return ReachableTopics([found[name] for name in sorted(found)], missing)

    async def topic_stats(
        self, name: str, *, timeout: float | None = None
    ) -> GetTopicStatsResponse:
        """Count what happened in a topic since its coordinator started."""
        return await self._at_owner(name, timeout, lambda admin: admin.topic_stats(name))

    # ------------------------------------------------------------ subscriptions

    async def seek(
        self,
        subscription: str,
        position: StartPosition,
        *,
        topics: Sequence[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Position]:
        """Move a named subscription in each group that knows it and that the topics concern."""
        concerned = self._groups.map.spread(topics) if topics else None
        parts = {
            group: there
            for group in (self._groups.map.names if concerned is None else concerned)
            if (there := self._of_group(group, position)) is not None
        }
        if (
            not parts
        ):  # It names nothing that anybody has: the home group refuses it in its own words.
            parts = {self._groups.home: position}
        moved: list[Position] = []

        async def seek(group: str, admin: Admin) -> None:
            moved.extend(
                await admin.seek(
                    subscription,
                    parts[group],
                    topics=() if concerned is None else concerned.get(group, topics),
                    request_id=request_id,
                )
            )

        await self._where_known(tuple(parts), timeout, seek)
        return moved

    async def delete_subscription(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a named subscription with its cursors, in each group that knows it."""

        async def delete(group: str, admin: Admin) -> None:
            await admin.delete_subscription(name, request_id=request_id)

        await self._where_known(self._groups.map.names, timeout, delete)

    def _of_group(self, group: str, position: StartPosition) -> StartPosition | None:
        """Return what of a position is for a group; None = nothing."""
        if position.policy != START_POLICY_POSITIONS:
            return position
        group_of = self._groups.map.group_of
        there = [at for at in position.positions if group_of(at.topic) == group]
        return StartPosition(policy=position.policy, positions=there) if there else None

    async def _where_known(
        self,
        names: Sequence[str],
        timeout: float | None,
        act: Callable[[str, Admin], Awaitable[None]],
    ) -> None:
        """Do something in one group after the other; where the subscription is not known, it is left out."""
        unknown: list[UnknownSubscriptionError] = []
        for group in names:
            try:
                await act(group, await self._admin_of(group, timeout))
            except UnknownSubscriptionError as error:
                unknown.append(error)
        if len(unknown) == len(names):
            raise unknown[0]

    # ------------------------------------------------------------ dead letters

    def dead_letters(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        page_size: int = DEAD_LETTERS_PAGE,
        timeout: float | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """Return what subscriptions of a topic gave up, oldest first, page by page as it is asked for."""
        return self._dead_letters(topic, filter, page_size, timeout)

    async def _dead_letters(
        self,
        topic: str,
        filter: DeadLetterFilter | None,
        page_size: int,
        timeout: float | None,
    ) -> AsyncIterator[DeadLetter]:
        async def first(admin: Admin) -> tuple[DeadLetter | None, AsyncIterator[DeadLetter]]:
            letters = admin.dead_letters(topic, filter, page_size=page_size)
            return await anext(letters, None), letters

        letter, rest = await self._at_owner(topic, timeout, first)
        if letter is None:
            return
        yield letter
        async for letter in rest:
            yield letter

    async def redrive(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        max_messages: int = 0,
        up_to_id: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Append dead letters to their topic again, only for the subscription that gave them up."""
        return await self._at_owner(
            topic,
            timeout,
            lambda admin: admin.redrive(
                topic,
                filter,
                dry_run=dry_run,
                max_messages=max_messages,
                up_to_id=up_to_id,
                request_id=request_id,
            ),
        )

    async def redrive_all(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        limit: int | None = None,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> RedriveDeadLettersResponse:
        """Redrive page after page until nothing that was there at the beginning remains."""
        return await self._at_owner(
            topic,
            timeout,
            lambda admin: admin.redrive_all(topic, filter, limit=limit, on_progress=on_progress),
        )

    async def purge(
        self,
        topic: str,
        filter: DeadLetterFilter | None = None,
        *,
        dry_run: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> PurgeDeadLettersResponse:
        """Delete dead letters for good; `dry_run` only counts them."""
        return await self._at_owner(
            topic,
            timeout,
            lambda admin: admin.purge(topic, filter, dry_run=dry_run, request_id=request_id),
        )

    # ------------------------------------------------------------ where to ask

    async def _at_owner(
        self, topic: str, timeout: float | None, ask: Callable[[Admin], Awaitable[T]]
    ) -> T:
        async def asked(pool: GroupPool, seconds: float) -> T:
            return await ask(Admin(pool, seconds))

        return await self._groups.at_owner(topic, self._seconds(timeout), asked)

    async def _at_all(
        self, timeout: float | None, ask: Callable[[Admin], Awaitable[T]]
    ) -> dict[str, T | BellwireError]:
        """Ask all groups at once; who does not answer has its error in the place of the answer."""

        async def asked(group: str) -> T | BellwireError:
            try:
                return await ask(await self._admin_of(group, timeout))
            except (PeerError, CapacityError) as error:
                return error

        names = self._groups.map.names
        return dict(zip(names, await asyncio.gather(*map(asked, names)), strict=True))

    async def _admin_of(self, group: str, timeout: float | None) -> Admin:
        seconds = self._seconds(timeout)
        return Admin(await self._groups.pool_of(group, seconds), seconds)
