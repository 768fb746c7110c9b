"""The server of the row LitServe: `python -m tests.benchmarks.peers.litserve_server MODEL PORT BATCH FAST_QUEUE`.

Runs in an environment of its own. A request is the observations of a batch as little-endian float32, row by row, and
then their positions; the answer is the probabilities and then the values.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import litserve
import numpy as np
import onnxruntime
from fastapi import Body, Response
from numpy.typing import NDArray

HOST: Final = "127.0.0.1"
WIDTH: Final = 421  # 420 numbers and the position.
BYTES: Final = "application/octet-stream"

Floats = NDArray[np.float32]
Raw = Annotated[bytes, Body(media_type=BYTES)]


class TacticalApi(litserve.LitAPI):  # type: ignore[misc]  # of another environment, Any here
    """One session of ONNX Runtime with one thread, as Bellwire's engine has it."""

    def __init__(self, model: Path, batch: int) -> None:
        super().__init__(max_batch_size=batch)
        self._model = model

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        del device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(self._model), options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: Raw) -> dict[str, Floats]:
        """Look at the bytes as numbers."""
        numbers = np.frombuffer(request, "<f4")
        rows = len(numbers) // WIDTH
        cut = rows * (WIDTH - 1)
        return {
            "observation": numbers[:cut].reshape(rows, WIDTH - 1),  # (rows, 420)
            "position": numbers[cut:].reshape(rows, 1),
        }

    def batch(self, inputs: list[dict[str, Floats]]) -> tuple[dict[str, Floats], list[int]]:
        """Put the rows of several requests together."""
        joined = {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
        return joined, [len(each["position"]) for each in inputs]

    def predict(self, x: Any) -> Any:
        """Compute the rows of one request, or of several with their numbers."""
        rows, lengths = x if isinstance(x, tuple) else (x, None)
        outputs = self._session.run(["probabilities", "value"], rows)
        return outputs if lengths is None else (outputs, lengths)

    def unbatch(self, output: tuple[list[Floats], list[int]]) -> Sequence[list[Floats]]:
        """Take them apart again."""
        outputs, lengths = output
        ends = np.cumsum(lengths)[:-1]
        return [list(each) for each in zip(*(np.split(o, ends) for o in outputs), strict=True)]

    def encode_response(self, output: list[Floats]) -> Response:
        """Answer with bytes."""
        return Response(b"".join(each.tobytes() for each in output), media_type=BYTES)


def main() -> None:
    """Serve until terminated."""
    model, port, batch, fast_queue = sys.argv[1:]
    server = litserve.LitServer(
        TacticalApi(Path(model), int(batch)),
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=bool(int(fast_queue)),
    )
    server.run(host=HOST, port=int(port), log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main()
