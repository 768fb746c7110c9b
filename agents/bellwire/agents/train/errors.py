"""What training refuses."""

from pathlib import Path

from bellwire.wire.errors import CallerError, StatusCode


class TooFewBarsError(CallerError):
    """The data hold too few bars to train on one part and test on another."""

    reason = "TRAINING_BARS_TOO_FEW"

    def __init__(self, symbol: str, found: int, needed: int) -> None:
        self.symbol = symbol
        self.found = found
        self.needed = needed
        super().__init__(
            f"{symbol} has {found} bars, training and testing need at least {needed}; "
            "give a longer file or a smaller share for the test",
            metadata={"symbol": symbol, "found": str(found), "needed": str(needed)},
        )


class UnknownDataError(CallerError):
    """The data are neither a file nor a series that ships with the package."""

    reason = "TRAINING_DATA_UNKNOWN"
    code = StatusCode.NOT_FOUND

    def __init__(self, found: str, known: tuple[str, ...]) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"data {found!r} is no file; give an OHLCV file or one of {', '.join(known)}",
            metadata={"data": found},
        )


class CheckpointError(CallerError):
    """The checkpoint cannot be continued: unreadable, or of another training."""

    reason = "CHECKPOINT_INVALID"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(
            f"checkpoint {path}: {found}, expected {expected}; "
            "train with the values it was begun with, or into another folder"
        )


class TrainingExistsError(CallerError):
    """The folder holds a training already, which would be lost."""

    reason = "TRAINING_EXISTS"
    code = StatusCode.ALREADY_EXISTS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"folder {folder} holds a training; go on with it (--resume) or name another folder"
        )
