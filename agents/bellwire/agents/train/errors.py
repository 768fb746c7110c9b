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


class SeriesApartError(CallerError):
    """Series that are trained on together hardly share a time, so no common cut parts them all."""

    reason = "TRAINING_SERIES_APART"

    def __init__(self, symbol: str, block: str, found: tuple[int, int], needed: int) -> None:
        """Name the series, the test block, its bars before and in it, and the fewest to train on."""
        self.symbol = symbol
        self.block = block
        self.found = found
        self.needed = needed
        train, test = found
        super().__init__(
            f"{symbol} has {train} bars to train on before the common test {block}, and {test} in it; "
            f"at least {needed} and 1 are needed: give series of the same time, fewer folds, or train "
            f"on {symbol} apart",
            metadata={"symbol": symbol, "train": str(train), "test": str(test)},
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
    """The folder holds a training or a model already, which would be lost."""

    reason = "TRAINING_EXISTS"
    code = StatusCode.ALREADY_EXISTS

    def __init__(self, folder: Path, found: str) -> None:
        """Name the folder, and the file in it that tells of a training."""
        self.folder = folder
        self.found = found
        super().__init__(
            f"folder {folder} holds {found} of another training; name another folder, or go on with "
            "that one (--resume)"
        )


class NothingToResumeError(CallerError):
    """A training is to be gone on with, and there is none."""

    reason = "TRAINING_ABSENT"
    code = StatusCode.NOT_FOUND

    def __init__(self, folder: Path, expected: str) -> None:
        """Name the folder, and the checkpoint that it lacks."""
        self.folder = folder
        self.expected = expected
        super().__init__(
            f"folder {folder} holds no {expected}, so there is no training to go on with; begin one "
            "without --resume, or name the folder of the one that was stopped"
        )
