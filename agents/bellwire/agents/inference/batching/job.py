"""One batch on its way through the engine."""

import asyncio
import time
from collections.abc import Sequence

from bellwire.agents.inference.batching.queue import NEVER, Waiting
from bellwire.agents.inference.batching.rows import RowShape
from bellwire.agents.inference.endpoint import CloseReason, InferenceRequest, InferenceResult
from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.errors import EngineFailedError
from bellwire.agents.inference.tensor import Array, Tensors


class Asked(Waiting):
    """A request that waits, its inputs, and who is to be told.

    Attributes:
        answer: Done = told, or gone away.
        inputs: Of the right names, types and shapes.
        retries: Why the batch was closed that failed with it; None = it was in none.
    """

    __slots__ = ("answer", "inputs", "retries")

    def __init__(
        self,
        request: InferenceRequest,
        measure: tuple[int, int],
        now: float,
        answer: asyncio.Future[InferenceResult],
    ) -> None:
        # As the base does, without the call: this runs for every request.
        self.rows, self.size_bytes = measure
        self.since_seconds = now
        self.priority = request.priority
        self.deadline_seconds = request.deadline_seconds or NEVER
        self.inputs = request.inputs
        self.answer = answer
        self.retries: CloseReason | None = None

    def fail(self, error: Exception) -> None:
        """Tell that there is no answer, unless nobody waits for one."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Job:
    """A batch, and what became of it.

    Attributes:
        asked: Whose rows, in order.
        inputs: All of them.
        rows: All of them.
        reason: Why the batch was closed.
        began: Monotonic seconds; set by `run`.
        seconds: That it took; set by `run`.
        outputs: None until it was computed.
        error: Why it was not.
        given_up: Those who asked were told that the engine does not answer.
        stopped_by: Ctrl-C or an exit that the engine met; to be raised on the loop once those who asked are told.
    """

    __slots__ = (
        "asked",
        "began",
        "error",
        "given_up",
        "inputs",
        "outputs",
        "reason",
        "rows",
        "seconds",
        "stopped_by",
    )

    def __init__(self, asked: Sequence[Asked], inputs: Tensors, reason: CloseReason) -> None:
        self.asked = asked
        self.inputs = inputs
        self.rows = sum([each.rows for each in asked])
        self.reason = reason
        self.began = 0.0
        self.seconds = 0.0
        self.outputs: list[tuple[str, Array]] | None = None
        self.error: EngineFailedError | None = None
        self.given_up = False
        self.stopped_by: KeyboardInterrupt | SystemExit | None = None

    def run(self, engine: Engine, shape: RowShape) -> "Job":
        """Compute it, on whatever thread this is; never raises what an engine may."""
        self.began = time.monotonic()
        try:
            self.outputs = shape.check_outputs(engine.infer(self.inputs), self.rows)
        except EngineFailedError as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001 - also panics of extensions: those who asked must hear of it.
            self.error = EngineFailedError(engine.manifest.key, repr(error))
            if isinstance(error, KeyboardInterrupt | SystemExit):
                self.stopped_by = error
        self.seconds = time.monotonic() - self.began
        return self
