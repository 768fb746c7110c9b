"""How an engine uses the machine."""

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Device and threads of one engine.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    device: str = field(
        default="cpu",
        metadata=setting(
            unit="",
            why="a small network is computed in microseconds where it is; cuda is never taken silently",
            choices=("cpu", "cuda"),
        ),
    )
    device_index: int = field(
        default=0,
        metadata=setting(
            unit="", why="the first of those that CUDA_VISIBLE_DEVICES leaves", ge=0, le=63
        ),
    )
    threads: int = field(
        default=1,
        metadata=setting(
            unit="threads",
            why="a process has a core of its own, and a second thread costs small networks their p99",
            ge=1,
            le=256,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
