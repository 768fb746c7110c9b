"""Requests that change nothing are made again while nobody answers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from bellwire.client._unary import read, request
from bellwire.wire.errors import CallerError, ClosedError, DeadlineExceededError, PeerError


class Method:
    """A unary method that fails as it is told, and then answers."""

    def __init__(self, *failures: grpc.StatusCode) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self, message: str, *, timeout: float, wait_for_ready: bool) -> str:  # noqa: ASYNC109
        self.calls += 1
        if not self.failures:
            return message.upper()
        code = self.failures.pop(0)
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(code, none, none, "Stream removed")


def method(*failures: grpc.StatusCode) -> Any:
    return Method(*failures)


async def test_a_read_cut_off_in_the_middle_is_made_again() -> None:
    cut = method(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE)
    assert await read(cut, "topic", 5.0, "the topic") == "TOPIC"
    assert cut.calls == 3


async def test_a_read_that_was_refused_is_not_made_again() -> None:
    refused = method(grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)
    with pytest.raises(CallerError, match="Stream removed"):
        await read(refused, "topic", 5.0, "the topic")
    assert refused.calls == 1


async def test_a_read_is_given_up_at_its_deadline() -> None:
    dead = method(*(50 * [grpc.StatusCode.UNAVAILABLE]))
    with pytest.raises(PeerError, match="the topic: Stream removed"):
        await read(dead, "topic", 0.3, "the topic")
    assert 2 <= dead.calls < 20, "it asks without a pause, or only once"


async def test_a_deadline_that_passed_there_is_not_tried_again() -> None:
    late = method(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(DeadlineExceededError):
        await read(late, "topic", 5.0, "the topic")
    assert late.calls == 1


async def test_a_deadline_of_the_peers_own_is_not_told_as_if_ours_had_passed() -> None:
    late = method(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(DeadlineExceededError) as caught:
        await request(late, "topic", 5.0, "the topic")
    assert caught.value.message == "the topic: Stream removed"


async def test_a_deadline_that_passed_here_is_told_with_its_seconds() -> None:
    async def hangs(message: str, *, timeout: float, **_: object) -> str:  # noqa: ASYNC109 - as gRPC's
        await asyncio.sleep(timeout)
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, none, none, "")

    with pytest.raises(DeadlineExceededError, match=r"the topic took longer than 0\.02 s"):
        await request(hangs, "topic", 0.02, "the topic")  # type: ignore[arg-type]  # a stand-in


async def test_a_call_whose_channel_is_closed_ends_with_an_error_and_not_as_if_cancelled() -> None:
    async def closed_under(message: str, **_: object) -> str:
        raise asyncio.CancelledError

    with pytest.raises(ClosedError, match="was closed while it waited for the topic"):
        await request(closed_under, "topic", 5.0, "the topic")  # type: ignore[arg-type]  # a stand-in


async def test_a_caller_who_is_cancelled_ends_as_cancelled() -> None:
    entered = asyncio.Event()

    async def hangs(message: str, **_: object) -> str:
        entered.set()
        await asyncio.Event().wait()
        return message

    task = asyncio.create_task(request(hangs, "topic", 5.0, "the topic"))  # type: ignore[arg-type]  # a stand-in
    await entered.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
