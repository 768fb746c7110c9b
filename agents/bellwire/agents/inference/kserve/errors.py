"""What goes wrong where models are offered beside the bus."""

from bellwire.wire.errors import CallerError, PeerError, StatusCode


class KserveListenError(CallerError):
    """The address cannot be served."""

    reason = "KSERVE_LISTEN"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(
        self, address: str, cause: str, remedy: str = "use HOST:PORT of this machine"
    ) -> None:
        self.address = address
        super().__init__(f"{address!r} cannot be served: {cause}; {remedy}")


class ModelNotReadyError(PeerError):
    """A chain of which no step may be asked, and that cannot hold."""

    reason = "MODEL_NOT_READY"

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"no step of chain {model!r} is loaded: see `problems` in model_statistics, and ask again",
            metadata={"model": model},
        )


class UnknownOutputError(CallerError):
    """The model has no output of that name."""

    reason = "OUTPUT_UNKNOWN"

    def __init__(self, output: str, known: tuple[str, ...]) -> None:
        self.output = output
        self.known = known
        super().__init__(f"there is no output {output!r}; there are {', '.join(known)}")


class InvalidParameterError(CallerError):
    """A parameter of a request has another type than it should."""

    reason = "PARAMETER_INVALID"

    def __init__(self, name: str, found: object, expected: str) -> None:
        self.name = name
        super().__init__(f"parameter {name!r:.160} is {found!r:.160}, expected {expected}")
