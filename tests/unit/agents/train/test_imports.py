"""bellwire.agents.train: what a quantizer's gate imports brings none of the training's packages."""

import subprocess
import sys

PROGRAM = """
import sys
import bellwire.agents.train, bellwire.agents.train.card_page
print(sorted({"torch", "gymnasium", "pettingzoo", "onnx"} & set(sys.modules)))
"""


def test_evaluating_needs_numpy_alone():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
