"""What a batcher may be told, with the reason of each default."""

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How one batcher gathers, computes and refuses."""

    batch_rows_max: int = field(
        default=256,
        metadata=setting(
            unit="rows",
            why="the tactical model takes less than 0.1 ms for so many: the loop is not held for longer;"
            " a single larger request is computed alone, up to the model's own limit",
            ge=1,
            le=65_536,
        ),
    )
    queue_rows_max: int = field(
        default=16_384,
        metadata=setting(
            unit="rows",
            why="64 full batches, some ms of work; policy REFUSE: more would be late anyway",
            ge=1,
            le=1_048_576,
        ),
    )
    queue_bytes_max: int = field(
        default=32 * 1024 * 1024,
        metadata=setting(
            unit="bytes",
            why="as many rows of the tactical model, 1,680 bytes each; policy REFUSE",
            ge=1024,
            le=1 << 32,
        ),
    )
    delay_seconds: float = field(
        default=0.0,
        metadata=setting(
            unit="s",
            why="an idle engine waits for nobody; for an engine whose cost is by the call (GPU, remote) it may"
            " wait for a fuller batch, at least 1 ms, which is the grain of the loop's timers",
            ge=0,
            le=1,
        ),
    )
    deadline_margin_seconds: float = field(
        default=0.002,
        metadata=setting(
            unit="s",
            why="a batch that gathers is closed so long before its first deadline: a timer may be 1 ms late,"
            " and then it is to be computed",
            ge=0,
            le=1,
        ),
    )
    run_on: str = field(
        default="loop",
        metadata=setting(
            unit="",
            why="a thread costs tens of µs a batch, more than the tactical model; choose it for what computes"
            " longer than 1 ms or may hang",
            choices=("loop", "thread"),
        ),
    )
    compute_seconds_max: float = field(
        default=1.0,
        metadata=setting(
            unit="s",
            why="on a thread only: ten thousand times the tactical model; then all who wait are told and the"
            " engine is asked again when it has come back",
            gt=0,
            le=3_600,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
