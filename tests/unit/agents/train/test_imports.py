"""bellwire.agents.train: what a quantizer's gate imports brings none of the training's packages."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(("torch", "gymnasium", "pettingzoo", "onnx", "onnxruntime")))
import bellwire.agents.train, bellwire.agents.train.card_page
import bellwire.agents.quantize
print("done")
"""


def test_evaluating_needs_numpy_alone():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
