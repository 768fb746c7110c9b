import numpy as np
import pytest

from bellwire.agents.inference.engines import EngineSettings, load_engine
from bellwire.agents.strategic import initial_strategic_weights, strategic_forward
from bellwire.agents.strategic.onnx_graph import strategic_graph_bytes, write_strategic_model


@pytest.mark.parametrize("rows", [1, 64])
def test_the_graph_computes_what_numpy_computes(tmp_path, rows):
    weights = initial_strategic_weights(5)
    seen = np.random.default_rng(rows).uniform(-1.0, 1.0, (rows, 13)).astype(np.float32)
    manifest = write_strategic_model(tmp_path, weights, version=3, metadata={"seed": 5})
    engine = load_engine(tmp_path, manifest, EngineSettings())
    found = engine.infer({"features": seen})
    engine.close()
    expected = strategic_forward(weights, seen)
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(found["value"], expected.value, atol=1e-6)
    assert manifest.key == "strategic:3"
    assert manifest.metadata == {"seed": 5, "variant": "mlmi 4-64-3, nwrqk 6-64-3, mmd 3-32-3"}


def test_equal_weights_give_equal_bytes():
    one, two, other = (strategic_graph_bytes(initial_strategic_weights(seed)) for seed in (1, 1, 2))
    assert one == two != other
