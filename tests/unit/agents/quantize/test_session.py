"""A model in ONNX Runtime."""

import numpy as np
import pytest

from bellwire.agents.inference import EngineFailedError
from bellwire.agents.quantize.session import LoadFailedError, Session


def test_probabilities_sum_to_one_and_all_outputs_are_computed(graph):
    session = Session("tactical:1", graph)
    observations, positions = np.ones((5, 420), "f4"), np.zeros((5, 1), "f4")
    shares = session.probabilities(observations, positions)
    assert shares.shape == (5, 3, 3)
    assert shares.sum(axis=2) == pytest.approx(np.ones((5, 3)), abs=1e-6)
    assert [output.shape for output in session.outputs(observations, positions)] == [
        (5, 3, 3),
        (5, 1),
    ]


def test_its_tensors_are_named(graph):
    assert Session("x", graph).names == (("observation", "position"), ("probabilities", "value"))


def test_what_is_no_model_is_told_apart():
    with pytest.raises(LoadFailedError, match=r"[Pp]rotobuf"):
        Session("x", b"not a model")


def test_a_model_that_cannot_compute_is_named(graph):
    with pytest.raises(EngineFailedError, match="model 'tactical:1' failed"):
        Session("tactical:1", graph).probabilities(np.ones((5, 7), "f4"), np.zeros((5, 1), "f4"))


def test_an_answer_that_is_no_number_is_none(graph):
    with pytest.raises(EngineFailedError, match="it answers NaN or infinity"):
        Session("x", graph).probabilities(np.full((1, 420), np.inf, "f4"), np.zeros((1, 1), "f4"))
