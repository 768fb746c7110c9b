"""What the batcher refuses."""

from bellwire.wire.errors import CapacityError


class InferenceQueueFullError(CapacityError):
    """More waits to be computed than may wait."""

    reason = "INFERENCE_QUEUE_FULL"

    def __init__(self, model: str, rows: int, size_bytes: int, retry_delay_seconds: float) -> None:
        """Say how much waits before `model`, and when there may be room."""
        self.model = model
        self.rows = rows
        self.size_bytes = size_bytes
        super().__init__(
            f"{rows} rows of {size_bytes} bytes wait for model {model!r}, that is its limit:"
            f" try again in {retry_delay_seconds:g} s",
            metadata={"model": model, "rows": str(rows)},
            retry_delay_seconds=retry_delay_seconds,
        )
