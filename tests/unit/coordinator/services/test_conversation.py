"""bellwire.coordinator.services.conversation: over gRPC a conversation is written when it has something, or is due."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from bellwire.coordinator.services.conversation import Conversation, _Coroutines

SOON_SECONDS = 0.005
FAR_SECONDS = 100.0


class Stream:
    """gRPC's side of a stream whose peer says nothing until it hangs up."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.arrived = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def send_initial_metadata(self, _: object) -> None:
        """Nothing: there is no wire."""

    async def read(self) -> Any:
        await self.hung_up.wait()
        return grpc.aio.EOF

    async def write(self, frame: str) -> None:
        self.sent.append(frame)
        self.arrived.set()


class Says(Conversation):
    """Says what it is given, and asks to be looked at again some seconds later."""

    def __init__(self, again_seconds: float) -> None:
        super().__init__()
        self._again_seconds = again_seconds
        self._ended = False
        self.silent = asyncio.Event()  # It had nothing to say, and the writer waits.
        self.frames: list[str] = []
        self.due: str | None = None
        self.due_at = 0.0

    @property
    def is_finished(self) -> bool:
        return self._ended

    def take(self, request: Any, now: float, now_ns: int) -> None:
        raise AssertionError("nobody speaks")

    def end(self) -> None:
        self._ended = True

    def next_frame(self, now: float, now_ns: int) -> str | None:
        if self.due is not None and now >= self.due_at:
            frame, self.due = self.due, None
            return frame
        self.retry_at = self.due_at if self.due is not None else now + self._again_seconds
        if self.frames:
            return self.frames.pop(0)
        self.silent.set()
        return None


async def test_what_is_due_is_written_without_a_wake():
    stream: Any = Stream()
    conversation = Says(FAR_SECONDS)
    conversation.due, conversation.due_at = "beat", time.monotonic() + SOON_SECONDS
    running = asyncio.create_task(_Coroutines(stream, conversation).run())
    async with asyncio.timeout(5):
        await stream.arrived.wait()
        stream.hung_up.set()
        await running
    assert stream.sent == ["beat"]


async def test_what_is_due_sooner_than_the_timer_is_not_held_up_by_it():
    stream: Any = Stream()
    conversation = Says(FAR_SECONDS)
    coroutines = _Coroutines(stream, conversation)
    running = asyncio.create_task(coroutines.run())
    async with asyncio.timeout(5):
        await conversation.silent.wait()
        conversation.due, conversation.due_at = "beat", time.monotonic() + SOON_SECONDS
        conversation.wake()
        await stream.arrived.wait()
        stream.hung_up.set()
        await running
    assert stream.sent == ["beat"]


async def test_frames_do_not_set_a_timer_each_and_the_end_takes_it_back():
    stream: Any = Stream()
    conversation = Says(FAR_SECONDS)
    coroutines = _Coroutines(stream, conversation)
    running = asyncio.create_task(coroutines.run())
    async with asyncio.timeout(5):
        await conversation.silent.wait()
        timer = coroutines._timer
        for frame in ("a", "b", "c"):
            stream.arrived.clear()
            conversation.frames.append(frame)
            conversation.wake()
            await stream.arrived.wait()
            await asyncio.sleep(0)
            assert coroutines._timer is timer
        stream.hung_up.set()
        await running
    assert stream.sent == ["a", "b", "c"]
    assert timer is not None
    assert timer.cancelled()
