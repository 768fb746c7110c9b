"""Keeps one bidirectional stream alive: opens it, beats, notices silence, opens it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Generic

import grpc

from bellwire.client._link_state import NEXT, LinkState
from bellwire.client._pump import Pump, lane_of, pump_for
from bellwire.client._reconnect import Reconnect
from bellwire.client._side import RequestT, ResponseT, Side
from bellwire.client.errors import UnreachableError
from bellwire.client.settings import ClientSettings
from bellwire.policy.backoff import Backoff
from bellwire.transport.channel import ChannelPool
from bellwire.transport.movable import OWNER_PAUSE_SECONDS
from bellwire.transport.status import FirstStatus, error_from_rpc
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    ClosedError,
    InternalError,
    NotOwnerError,
    PeerError,
)

SILENT_INTERVALS_MAX: Final = 3  # Heartbeats a peer may miss before it counts as gone.
FAULTS_MAX: Final = 5  # Streams in a row that may end with an internal error before we give up.
CLOSE_GRACE_SECONDS: Final = 1.0  # For the peer to end its half of a stream we have ended.

_log = logging.getLogger("bellwire.client")


class Link(Generic[RequestT, ResponseT]):
    """Runs streams of one kind, one after the other, for one `Side`."""

    def __init__(
        self,
        side: Side[RequestT, ResponseT],
        pool: ChannelPool,
        name: str,
        settings: ClientSettings,
        heartbeat_seconds: float,
    ) -> None:
        self._side = side
        self._pool = pool
        self.name = name
        self._settings = settings
        self._heartbeat_seconds = heartbeat_seconds
        self._state = LinkState.IDLE
        self._task: asyncio.Task[None] | None = None
        self._pump: Pump | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self._beat_due = False
        self._heard_at = 0.0
        self._cut: BellwireError | None = None
        self._beat_handle: asyncio.TimerHandle | None = None
        self._owner_pause = Backoff(*OWNER_PAUSE_SECONDS)
        self.on_change: Callable[[BellwireError | None], None] = lambda _: None
        """Told once when an established stream is lost, with what ended it, and once, with None, when there is one
        again; neither of the first stream nor of the last."""
        self.problem: BellwireError | None = None
        """What ended the latest stream; None while one is open."""
        self.streams_opened = 0
        self.lane = ""
        """What carries the latest stream: "socket" or "grpc"; empty before the first."""

    @property
    def is_open(self) -> bool:
        """True while a stream is established."""
        return self._state is LinkState.OPEN

    @property
    def started(self) -> bool:
        """True once `start` was called."""
        return self._task is not None

    def start(self) -> None:
        """Begin to connect; the first call only."""
        if self._task is None:
            self._move(LinkState.CONNECTING)
            self._task = asyncio.create_task(self._run(), name=f"bellwire {self.name}")

    def wake(self) -> None:
        """Have the side asked for frames."""
        if self._pump is not None:
            self._pump.wake()

    def check_usable(self) -> None:
        """Raise what made the link fail for good, if anything did."""
        if self._state is LinkState.FAILED and self.problem is not None:
            raise self.problem

    async def opened(self, seconds: float) -> None:
        """Wait until a stream is established.

        Raises:
            BellwireError: The peer refused it for good.
            UnreachableError: It could not be established in time; the text says what the last try met.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.is_open:
                    self.check_usable()
                    if self._state is LinkState.CLOSED:
                        raise ClosedError(f"{self.name} was closed")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            if isinstance(self.problem, CallerError):
                raise self.problem from None
            raise UnreachableError(
                f"{self.name} was not established within {seconds:g} s: {self.trouble()}"
            ) from None

    def trouble(self) -> str:
        """Return what keeps the stream from being open, for people."""
        if self.problem is not None:
            return self.problem.message
        return "" if self.is_open else "the coordinator has not answered yet"

    async def close(self) -> None:
        """Send what the side still has, end the stream, and await every task."""
        self._closing = True
        task = self._task
        if task is not None and not task.done():
            try:
                if self.is_open:
                    self.wake()
                    await asyncio.wait([task], timeout=CLOSE_GRACE_SECONDS)
            finally:
                task.cancel()
            await asyncio.wait([task])
        if self._state is not LinkState.FAILED:
            self._move(LinkState.CLOSED)

    # ------------------------------------------------------------ one stream after the other

    async def _run(self) -> None:
        reconnect = Reconnect(self._settings)
        clock = asyncio.get_running_loop().time
        faults = 0
        while True:
            opened_at = clock()
            place = self._pool.address
            opened = self.streams_opened
            error = await self._attempt()
            faults = 0 if isinstance(error, (PeerError, CapacityError)) else faults + 1
            self._side.on_lost()
            if self._closing:
                return
            self.problem = error
            if self._is_final(error, faults):
                _log.warning("%s failed for good: %s", self.name, error.message)
                self._move(LinkState.FAILED)
                self._side.on_failed(error)
                return
            if self.streams_opened > opened:
                self._tell(error)
            self._move(LinkState.CONNECTING)
            if isinstance(error, NotOwnerError):
                self._pool.refused(place, error)
                _log.info("%s ended (%s)", self.name, error.message)
                await asyncio.sleep(self._owner_pause.next_delay())
                continue
            if isinstance(error, UnreachableError) and self._pool.has_choice:
                self._pool.lost(place)
            delay = reconnect.after_stream(clock() - opened_at, self._side.reconnect_after())
            _log.info("%s ended (%s); next try in %.3f s", self.name, error.message, delay)
            if await self._rest(delay):
                await asyncio.sleep(reconnect.after_outage())

    async def _rest(self, seconds: float) -> bool:
        """Sleep; when the coordinator is out of reach, until it is back. True when it was."""
        reachability = self._pool.reachability()
        restored = asyncio.create_task(reachability.restored())
        try:
            done, _ = await asyncio.wait([restored], timeout=seconds)
            if not done and reachability.is_connected:
                return False
            await restored
            return True
        finally:
            restored.cancel()

    def _is_final(self, error: BellwireError, faults: int) -> bool:
        if isinstance(error, self._side.final_errors):
            return True
        if isinstance(error, self._side.retried_errors):
            return False
        return isinstance(error, CallerError) or faults >= FAULTS_MAX

    async def _attempt(self) -> BellwireError:
        """Run one stream to its end; return why it ended."""
        self._take_cut()
        try:
            await self._side.prepare()
            await self._converse(self._side.open_call())
        except BellwireError as error:
            return error
        except grpc.aio.AioRpcError as error:
            return error_from_rpc(error, self.name)
        except TimeoutError:
            seconds = self._settings.transport.connect_timeout_seconds
            return UnreachableError(f"{self.name}: no answer within {seconds:g} s")
        except asyncio.CancelledError:
            # gRPC raises this also in the reader of a call that was cancelled, by `cut_off` or with
            # its channel; only a cancelled task may end the link.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._take_cut() or PeerError(f"{self.name}: the call was cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is must not end the link silently
            _log.exception("%s: a fault of our own", self.name)
            return InternalError(f"{self.name}: {type(error).__name__}: {error}")
        return PeerError(f"{self.name}: the coordinator ended the stream")

    async def _converse(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        """Open the stream and read it to its end; its pump and the heartbeat run meanwhile."""
        first = FirstStatus(call)
        try:
            if await self._open(call):
                await self._read(call)
        except grpc.aio.AioRpcError as error:
            raise first.instead_of(error) from None
        finally:
            call.cancel()

    async def _open(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> bool:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._settings.transport.connect_timeout_seconds):
            with contextlib.suppress(asyncio.InvalidStateError):  # The read below says why.
                await call.write(self._side.start_frame())
            response = await call.read()
        if response is grpc.aio.EOF:
            return False
        self._side.on_response(response, loop.time())  # type: ignore[arg-type]  # EOF is excluded above
        self.lane = lane_of(call)
        self._opened_now(loop.time())
        return True

    async def _read(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        loop = asyncio.get_running_loop()
        self._pump = pump_for(call, self)
        self._beat_handle = loop.call_later(self._heartbeat_seconds, self._beat, call)
        try:
            await self._pump.run()
        finally:
            self._pump = None
            if self._beat_handle is not None:
                self._beat_handle.cancel()

    def _opened_now(self, now: float) -> None:
        self._heard_at = now
        self._beat_due = False
        self._owner_pause.reset()
        self.problem = None
        self.streams_opened += 1
        self._move(LinkState.OPEN)
        if self.streams_opened > 1:
            self._tell(None)

    def _tell(self, lost: BellwireError | None) -> None:
        try:
            self.on_change(lost)
        except Exception:  # noqa: BLE001 - whoever is told, the line goes on without him
            _log.exception("%s: who is told of its state failed", self.name)

    # ------------------------------------------------------------ for the pump

    def next_frame(self, now: float) -> RequestT | None:
        """Return the next frame to send, or None."""
        if self._beat_due:
            self._beat_due = False
            return self._side.heartbeat_frame()
        return self._side.next_frame(now)

    def has_more(self) -> bool:
        """Tell whether the side need be asked again before a wake."""
        return self._closing or self._side.has_more()

    def wake_at(self, now: float) -> float | None:
        """Return when to ask again though nothing happened."""
        return self._side.wake_at(now)

    def may_end(self) -> bool:
        """Tell whether the stream may be half-closed."""
        return self._closing or self._side.is_finished()

    def hear(self, response: ResponseT, now: float) -> bool:
        """Take a frame; True when there may be something to send now."""
        self._heard_at = now
        return self._side.on_response(response, now)

    def cut_off(
        self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT], why: BellwireError
    ) -> None:
        """End the stream; the next attempt follows."""
        self._cut = why
        call.cancel()

    def _beat(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        """Send a heartbeat, or end a stream that has been silent for too long."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard_at > SILENT_INTERVALS_MAX * self._heartbeat_seconds:
            silent_seconds = SILENT_INTERVALS_MAX * self._heartbeat_seconds
            self.cut_off(
                call, UnreachableError(f"{self.name}: nothing was heard for {silent_seconds:g} s")
            )
            return
        self._beat_due = True
        self.wake()
        self._beat_handle = loop.call_later(self._heartbeat_seconds, self._beat, call)

    def _take_cut(self) -> BellwireError | None:
        cut, self._cut = self._cut, None
        return cut

    def _move(self, state: LinkState) -> None:
        if state not in NEXT[self._state]:
            raise RuntimeError(f"{self.name} cannot go from {self._state.name} to {state.name}")
        self._state = state
        self._changed.set()
