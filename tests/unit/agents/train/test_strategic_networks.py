"""bellwire.agents.train.strategic_networks: the networks in torch are those in numpy and in the graph."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.inference.engines import EngineSettings, load_engine  # noqa: E402
from bellwire.agents.strategic import initial_strategic_weights, strategic_forward  # noqa: E402
from bellwire.agents.strategic.onnx_graph import write_strategic_model  # noqa: E402
from bellwire.agents.train.strategic_networks import StrategicNetworks  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def weights():
    return initial_strategic_weights(1)


@pytest.fixture
def features():
    return np.random.default_rng(0).uniform(-1, 1, (64, 13)).astype(np.float32)


def test_torch_numpy_and_the_graph_say_the_same(weights, features, tmp_path):
    with torch.no_grad():
        log_probs, values = StrategicNetworks(weights)(torch.from_numpy(features))
    expected = strategic_forward(weights, features)
    assert log_probs.exp().numpy() == pytest.approx(expected.probabilities, abs=1e-6)
    assert values.numpy() == pytest.approx(expected.value[:, 0], abs=1e-6)
    engine = load_engine(tmp_path, write_strategic_model(tmp_path, weights), EngineSettings())
    served = engine.infer({"features": features})
    engine.close()
    assert served["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    assert served["value"] == pytest.approx(expected.value, abs=1e-6)


def test_weights_come_out_as_they_went_in(weights):
    found = StrategicNetworks(weights).weights()
    for name, layers in {**weights.actors, "critic": weights.critic}.items():
        for given, returned in zip(layers, getattr(found, name), strict=True):
            assert np.array_equal(given.weight, returned.weight)
            assert np.array_equal(given.bias, returned.bias)


def test_the_given_weights_are_never_changed(weights):
    networks = StrategicNetworks(weights)
    before = weights.mmd[0].weight.copy()
    with torch.no_grad():
        for parameter in networks.parameters.values():
            parameter.add_(1.0)
    assert np.array_equal(weights.mmd[0].weight, before)


def test_each_actor_learns_from_its_own_features_alone(weights, features):
    networks = StrategicNetworks(weights)
    inputs = torch.from_numpy(features).requires_grad_()
    log_probs, _ = networks(inputs)
    log_probs[:, 1, 2].sum().backward()
    assert inputs.grad is not None
    reached = (inputs.grad != 0.0).any(dim=0).tolist()
    assert reached == [False] * 4 + [True] * 6 + [False] * 3
