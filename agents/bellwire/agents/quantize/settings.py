"""How a model is quantized, and what its gate lets pass."""

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """Which of the data fix the ranges of 8-bit inputs.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    rows: int = field(
        default=1_024,
        metadata=setting(
            unit="observations",
            why="16 batches of 64 settle the ranges of bounded features; more only take time",
            ge=64,
            le=65_536,
        ),
    )
    seed: int = field(
        default=0,
        metadata=setting(unit="", why="equal seeds and data give equal models", ge=0, le=2**32 - 1),
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How much a quantized model may differ from its parent on held-out bars.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    agreement_min: float = field(
        default=0.98,
        metadata=setting(
            unit="share of the bars, of each head and of the decision",
            why="int8 keeps 0.997 of a trained network and 0.99 of untrained, nearly tied ones; 4 bits do not",
            ge=0.5,
            le=1.0,
        ),
    )
    return_loss_max: float = field(
        default=0.01,
        metadata=setting(
            unit="net log return over the held-out bars",
            why="half of what 2 % other decisions can cost when each of 2,000 bars moves by 0.05 %",
            ge=0.0,
            le=1.0,
        ),
    )
    fee_bp: float = field(
        default=0.2,
        metadata=setting(
            unit="basis points of the value traded",
            why="the trainer's default; `bellwire model quantize` takes what the parent was trained to pay",
            ge=0.0,
            le=1_000.0,
        ),
    )
    held_out_bars_min: int = field(
        default=200,
        metadata=setting(
            unit="bars",
            why="with fewer, one other action moves the agreement by more than half a percent",
            ge=1,
            le=1_000_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
